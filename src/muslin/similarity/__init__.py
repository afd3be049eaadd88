"""Which products look alike: the index of a catalogue's photos, exact search, duplicates, and when two are the same."""
