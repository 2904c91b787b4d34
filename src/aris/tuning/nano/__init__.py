"""The making of `aris-nano`: corpora, teachers, tower, decoder and calibration."""
