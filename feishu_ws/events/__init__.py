"""Opening what Feishu sent: envelopes and CloudEvents. Pure and total."""
