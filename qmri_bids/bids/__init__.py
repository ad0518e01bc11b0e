"""The BIDS border: finding and checking runs, metadata to protocols, names, maps and sidecars."""
