"""The vocabulary of the demo platform: every name, question and answer is invented."""

from itertools import product


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _split(
    "Ada Amir Anya Bela Bruno Carla Chidi Clara Dario Dunja Elif Emil Farah Felix Greta Hana Henrik Ines Ivo "
    "Jada Jonas Kaito Keira Lena Luca Maja Marek Mira Nadia Noor Olga Oscar Paula Priya Quinn Ravi Rosa Samir "
    "Selma Tariq Tessa Ugo Vera Wanda Xenia Yara Zeno Zoe"
)
LAST_NAMES = _split(
    "Abara Albrecht Bianchi Castell Darnley Eskola Falk Fontane Grunwald Hadley Ibarra Jansen Kessler Lindqvist "
    "Maddox Moravec Nakade Okoye Palmer Quist Rahimi Sandoval Tanaka Ulrich Vance Weidel Yilmaz Zeller"
)
AVATAR_NAMES = _split(
    "Aurora Basil Cleo Dorian Echo Fern Gideon Hazel Indigo Juno Kestrel Luna Milo Nova Orion Pixel Quill Rune "
    "Sage Talia Umber Vesper Willow Xander Yuki Zephyr"
)
STUDIOS = ("Northlight Studio", "Paper Lantern", "Halcyon Works", "Tin Robot")
CATEGORIES = ("business", "education", "entertainment", "wellness", "travel")
COUNTRIES = ("US", "GB", "DE", "BR", "IN", "JP", "NG", "MX", "PL", "ES")
LANGUAGES = ("English", "German", "Portuguese", "Hindi", "Japanese", "Spanish", "Polish")
PERSONALITIES = ("INTJ", "ENFP", "ISFJ", "ENTP", "INFJ", "ESTP", "ISTP", "ENFJ")
TRAITS = (
    "curious",
    "patient",
    "witty",
    "direct",
    "warm",
    "calm",
    "playful",
    "precise",
    "stubborn",
    "generous",
)
HOBBIES = ("hiking", "baking", "chess", "old films", "pottery", "sailing", "gardening", "jazz", "cycling")
PLACES = ("the harbour", "a mountain hut", "the old market", "a rooftop garden", "the lake", "a night train")
MOODS = ("happy", "nostalgic", "excited", "peaceful", "proud")
PEOPLE = ("grandmother", "best friend", "brother", "colleague", "neighbour")
FOODS = ("pancakes", "dumplings", "paella", "apple pie", "ramen")

TOPICS = (
    "the opening hours",
    "a refund for my last order",
    "a favourite recipe",
    "the weather by the sea",
    "a good book for the weekend",
    "the delivery to my town",
    "learning to play chess",
    "a birthday present",
    "how to sleep better",
    "the new summer menu",
    "planning a trip north",
    "my first job interview",
    "the difference between the two plans",
    "a short workout",
)
OPENINGS = ("Can you tell me about", "What do you think of", "Do you know anything on", "Could we talk about")
REPLIES = ("Of course! Let me help you with", "Good that you ask about", "I was just thinking of")
CLOSINGS = (
    "What would you like to know first?",
    "Here is what I would do.",
    "Tell me a little more, please.",
)
DIALOGUES = tuple(
    (f"{opening} {topic}?", f"{reply} {topic.replace('my ', 'your ')}. {closing}")
    for opening, topic, reply, closing in product(OPENINGS, TOPICS, REPLIES, CLOSINGS)
)
"""Pairs of a question and an answer to it."""

QUESTIONS = tuple(dict.fromkeys(question for question, _ in DIALOGUES))
ANSWERS = tuple(dict.fromkeys(answer for _, answer in DIALOGUES))
SPEECHES = tuple(" ".join(answers) for answers in zip(ANSWERS, ANSWERS[5:], ANSWERS[11:], strict=False))
SCENES = tuple(
    f"{subject} {place}, {style}"
    for subject, place, style in product(
        ("a red fox", "an astronaut", "two old friends", "a paper boat", "a smiling robot"),
        (
            "in a misty forest",
            "on a quiet street at night",
            "under northern lights",
            "by the window of a cafe",
        ),
        ("watercolour", "photorealistic, 35 mm", "flat illustration", "in the style of a woodcut"),
    )
)
PARAGRAPHS = tuple(
    f"{sentence} {answer} Section notes: {topic}, checked twice and kept short."
    for sentence, answer, topic in zip(QUESTIONS * 3, ANSWERS, TOPICS * 9, strict=False)
)
DOCUMENTS = (
    "handbook",
    "price-list",
    "faq",
    "menu",
    "travel-guide",
    "product-sheet",
    "house-rules",
    "interview",
)
