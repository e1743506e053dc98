"""Having the jobs and checks run by themselves: systemd's timers or a crontab, made from jobs.registry.SCHEDULED."""
