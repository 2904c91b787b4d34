"""Maps of relevance over an image, and the side of the patient on which a position lies."""
