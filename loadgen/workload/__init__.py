"""What users do and when: the typed form of profiles/, and pure schedules."""
