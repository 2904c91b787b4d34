"""Images for the viewer: series in the order of display, frames as values, thumbnails, and what others drew on them."""
