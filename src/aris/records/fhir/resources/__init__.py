"""FHIR resources as facts: a file for each family of types."""
