"""A vision tower for every kind of image that `aris-nano` is shown: chest films, biopsies, skin, fundus."""
