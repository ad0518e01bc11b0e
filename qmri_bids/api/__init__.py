"""The public interface for arrays: degrees, seconds and microtesla in, maps with standard deviations out."""
