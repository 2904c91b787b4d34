"""Documents of a report: DICOM SR, presentation states, FHIR, PDF and plain text, written and read back."""
