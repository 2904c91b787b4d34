"""Signs of other FHIR versions than R4 (and R4B): resources of those are refused, not misread."""

from __future__ import annotations

from typing import Any

Resource = dict[str, Any]

# Types that R4 does not have: renamed in or after DSTU2 and STU3 (R4's own list of changes), or new in R5.
_TYPES = {
    "MedicationOrder": "DSTU2", "DiagnosticOrder": "DSTU2", "ProcedureRequest": "STU3", "ReferralRequest": "STU3",
    "DeviceUseRequest": "DSTU2", "Conformance": "DSTU2", "EligibilityRequest": "STU3", "BodySite": "STU3",
    "Sequence": "STU3", "ImagingManifest": "STU3", "ImagingObjectSelection": "DSTU2", "ProcessRequest": "STU3",
    "MedicationUsage": "R5", "DeviceUsage": "R5", "ImagingSelection": "R5", "Transport": "R5", "Permission": "R5",
    "ActorDefinition": "R5", "InventoryReport": "R5", "BiologicallyDerivedProductDispense": "R5", "FormularyItem": "R5",
    "GenomicStudy": "R5", "NutritionIntake": "R5", "Requirements": "R5", "EncounterHistory": "R5",
}  # fmt: skip
# Elements that another version has and R4 does not (R4's "R3 diff" and R5's "R4 diff" of each resource).
_ELEMENTS = {
    "Observation": {"context": "STU3", "comment": "STU3", "related": "STU3", "comments": "DSTU2", "triggeredBy": "R5",
                    "instantiatesReference": "R5"},
    "Condition": {"dateRecorded": "DSTU2", "dateAsserted": "DSTU2", "context": "STU3", "assertedDate": "STU3"},
    "Encounter": {"reason": "STU3", "incomingReferral": "STU3", "indication": "STU3", "patient": "DSTU2",
                  "actualPeriod": "R5", "admission": "R5", "virtualService": "R5"},
    "Procedure": {"notDone": "STU3", "notDoneReason": "STU3", "context": "STU3", "notPerformed": "DSTU2",
                  "occurrenceDateTime": "R5", "occurrencePeriod": "R5", "recorded": "R5"},
    "MedicationRequest": {"context": "STU3", "medication": "R5", "effectiveDosePeriod": "R5"},
    "MedicationStatement": {"taken": "STU3", "reasonNotTaken": "STU3", "wasNotTaken": "DSTU2", "medication": "R5",
                            "adherence": "R5"},
    "MedicationAdministration": {"notGiven": "STU3", "reasonNotGiven": "STU3", "prescription": "STU3",
                                 "wasNotGiven": "DSTU2", "effectiveTimeDateTime": "DSTU2", "medication": "R5",
                                 "occurenceDateTime": "R5", "occurencePeriod": "R5"},
    "MedicationDispense": {"notDone": "STU3", "medication": "R5"},
    "AllergyIntolerance": {"assertedDate": "STU3", "substance": "DSTU2"},
    "Immunization": {"notGiven": "STU3", "date": "STU3", "vaccinationProtocol": "STU3", "wasNotGiven": "DSTU2"},
    "DiagnosticReport": {"context": "STU3", "codedDiagnosis": "STU3"},
    "DocumentReference": {"indexed": "STU3", "created": "STU3", "class": "STU3"},
    "CarePlan": {"definition": "STU3", "context": "STU3"},
    "Goal": {"status": "STU3"},
    "ImagingStudy": {"context": "STU3", "uid": "STU3", "accession": "STU3"},
    "FamilyMemberHistory": {"notDone": "STU3"},
}  # fmt: skip


# The resource types of FHIR R4 and R4B (https://hl7.org/fhir/R4/resourcelist.html, https://hl7.org/fhir/R4B/).
_R4_NAMES = """
Account ActivityDefinition AdministrableProductDefinition AdverseEvent AllergyIntolerance Appointment
AppointmentResponse AuditEvent Basic Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement
CarePlan CareTeam CatalogEntry ChargeItem ChargeItemDefinition Citation Claim ClaimResponse ClinicalImpression
ClinicalUseDefinition CodeSystem Communication CommunicationRequest CompartmentDefinition Composition ConceptMap
Condition Consent Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device
DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference
EffectEvidenceSynthesis Encounter Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition
Evidence EvidenceReport EvidenceVariable ExampleScenario ExplanationOfBenefit FamilyMemberHistory Flag Goal
GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization ImmunizationEvaluation
ImmunizationRecommendation ImplementationGuide Ingredient InsurancePlan Invoice Library Linkage List Location
ManufacturedItemDefinition Measure MeasureReport Media Medication MedicationAdministration MedicationDispense
MedicationKnowledge MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
MedicinalProductContraindication MedicinalProductDefinition MedicinalProductIndication MedicinalProductIngredient
MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionOrder
NutritionProduct Observation ObservationDefinition OperationDefinition OperationOutcome Organization
OrganizationAffiliation PackagedProductDefinition Parameters Patient PaymentNotice PaymentReconciliation Person
PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
RegulatedAuthorization RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy
ResearchSubject RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter ServiceRequest Slot Specimen
SpecimenDefinition StructureDefinition StructureMap Subscription SubscriptionStatus SubscriptionTopic Substance
SubstanceDefinition SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation
SubstanceSourceMaterial SubstanceSpecification SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport
TestScript ValueSet VerificationResult VisionPrescription
"""
R4_TYPES = frozenset(_R4_NAMES.split())


def other_version(resource: Resource) -> str:
    """Return a sign that a resource is of another FHIR version, as "STU3: Observation.context", or ""."""
    kind = resource.get("resourceType", "")
    if kind in _TYPES:
        return f"{_TYPES[kind]}: {kind}"
    for name, version in _ELEMENTS.get(kind, {}).items():
        if name in resource:
            return f"{version}: {kind}.{name}"
    if kind in ("Condition", "AllergyIntolerance") and isinstance(resource.get("clinicalStatus"), str):
        return f"STU3: {kind}.clinicalStatus is a code"
    if kind == "AllergyIntolerance" and isinstance(resource.get("type"), dict):
        return f"R5: {kind}.type is a concept"
    if kind == "Encounter" and isinstance(resource.get("class"), str):
        return f"DSTU2: {kind}.class is a code"
    if kind == "Encounter" and isinstance(resource.get("class"), list):
        return f"R5: {kind}.class is a list"
    return ""
