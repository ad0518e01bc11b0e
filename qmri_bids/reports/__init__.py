"""The report of a participant: its content, its pictures, its methods text and the HTML file."""
