"""The DICOM node: associations within bounds, storage, and other nodes as peers."""
