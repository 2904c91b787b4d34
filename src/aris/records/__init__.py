"""Records: a patient's FHIR resources and notes as a timeline, measurements, scores and what texts say."""
