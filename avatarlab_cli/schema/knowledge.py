import sqlalchemy as sa

from avatarlab_cli.schema.base import (
    EMBEDDING_DIMENSIONS,
    TEXTS,
    TIME,
    Vector,
    check,
    identifier,
    one_of,
    reference,
    stamp,
    table,
)

AREA = "Knowledge"

avatar_knowledge_files = table(
    "avatar_knowledge_files",
    identifier(),
    reference("avatar_id", "avatars.id", ondelete="CASCADE", nullable=False, index=True),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("original_name", sa.Text, nullable=False),
    sa.Column("file_path", sa.Text, nullable=False),
    sa.Column("file_size", sa.BigInteger, check("file_size", "file_size > 0"), nullable=False),
    sa.Column("content_type", sa.Text, nullable=False, index=True),
    sa.Column("file_hash", sa.Text),
    sa.Column("extracted_text", sa.Text),
    sa.Column(
        "processing_status",
        sa.Text,
        one_of("processing_status", "pending", "processed", "error"),
        index=True,
        server_default="pending",
    ),
    sa.Column("processing_error", sa.Text),
    sa.Column("tags", TEXTS),
    sa.Column("is_linked", sa.Boolean, server_default=sa.true()),
    sa.Column("link_url", sa.Text),
    sa.Column(
        "status",
        sa.Text,
        one_of("status", "active", "deleted", "archived"),
        index=True,
        server_default="active",
    ),
    sa.Column("deleted_at", TIME),
    reference("deleted_by", "profiles.id"),
    sa.Column("deletion_reason", sa.Text),
    sa.Column("scheduled_hard_delete_at", TIME),
    stamp("uploaded_at"),
    stamp("updated_at"),
    area=AREA,
    used_for="knowledge files uploaded, failed and their bytes",
    event_time="uploaded_at",
)

document_chunks = table(
    "document_chunks",
    identifier(),
    reference(
        "knowledge_file_id", "avatar_knowledge_files.id", ondelete="CASCADE", nullable=False, index=True
    ),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False, index=True),
    reference("avatar_id", "avatars.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("chunk_text", sa.Text, nullable=False),
    sa.Column("chunk_index", sa.Integer, nullable=False),
    sa.Column("chunk_size", sa.Integer, nullable=False),
    sa.Column("embedding", Vector(EMBEDDING_DIMENSIONS)),
    sa.Column("page_number", sa.Integer),
    sa.Column("section_title", sa.Text),
    sa.Column("chunk_type", sa.Text, server_default="content"),
    stamp("created_at"),
    stamp("updated_at"),
    area=AREA,
    used_for="size of the search index; its embeddings are never selected",
    event_time="created_at",
)

knowledge_chunks = table(
    "knowledge_chunks",
    identifier(),
    reference("file_id", "avatar_knowledge_files.id", ondelete="CASCADE", nullable=False),
    sa.Column("chunk_index", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("embedding_vector", Vector(EMBEDDING_DIMENSIONS)),
    sa.Column("token_count", sa.Integer),
    stamp("created_at"),
    sa.UniqueConstraint("file_id", "chunk_index"),
    sa.Index(
        "knowledge_chunks_to_tsvector_idx", sa.text("to_tsvector('english', content)"), postgresql_using="gin"
    ),
    area=AREA,
    used_for="unused by the app: replaced by document_chunks",
    event_time="created_at",
    policy=None,
)

rag_search_logs = table(
    "rag_search_logs",
    identifier(),
    reference("user_id", "profiles.id", ondelete="CASCADE", nullable=False, index=True),
    reference("avatar_id", "avatars.id", ondelete="CASCADE", nullable=False, index=True),
    sa.Column("query_text", sa.Text, nullable=False),
    sa.Column("query_embedding", Vector(EMBEDDING_DIMENSIONS)),
    sa.Column("chunks_found", sa.Integer, server_default=sa.text("0")),
    sa.Column("top_similarity_score", sa.Double),
    sa.Column("response_generated", sa.Boolean, server_default=sa.false()),
    sa.Column("response_tokens", sa.Integer),
    stamp("created_at"),
    area=AREA,
    used_for="knowledge searches in web chats",
    event_time="created_at",
)
