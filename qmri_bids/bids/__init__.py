"""The BIDS border: layout, sidecars, names, images and what is written; it knows no kind of scan."""
