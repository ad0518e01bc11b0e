from qmri_bids.exchange_prior import EXCHANGE_PRIOR, ExchangePrior  # noqa: F401
