"""Work that goes on by itself: from arrival to delivery, and the watch over records."""
