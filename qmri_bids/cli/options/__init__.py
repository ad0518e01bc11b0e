"""Options of qmri_bids, one row each."""
