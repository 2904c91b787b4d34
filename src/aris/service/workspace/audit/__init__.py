"""The audit trail and the site, for those who look after the house."""
