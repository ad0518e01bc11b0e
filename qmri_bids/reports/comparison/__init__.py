"""The page that sets estimators of one run side by side: content, pictures, HTML."""
