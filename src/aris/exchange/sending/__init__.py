"""Documents to systems that speak HTTP: DICOMweb services and FHIR servers."""
