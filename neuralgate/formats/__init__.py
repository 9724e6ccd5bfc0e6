"""How a locale writes dates; Django looks for `<locale>/formats.py` in here."""
