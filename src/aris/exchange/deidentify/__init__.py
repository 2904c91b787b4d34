"""De-identification of images by PS3.15: attributes, pixels and the tables beside them."""
