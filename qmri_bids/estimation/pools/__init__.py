"""Pool fractions and exchange rates from fingerprints."""
