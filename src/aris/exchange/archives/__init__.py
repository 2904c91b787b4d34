"""Archives elsewhere: which studies of a patient they have, and one study fetched; by DIMSE or DICOMweb."""
