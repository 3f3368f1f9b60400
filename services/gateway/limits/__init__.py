"""What a caller may use: quotas that hold across gateways, calls at once, and answers kept for repeated writes."""
