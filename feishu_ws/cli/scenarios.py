"""Names and summaries of the shipped scenarios, told without reading them; a test compares."""

from typing import Final

SCENARIOS: Final[dict[str, str]] = {
    "callbacks": "Buttons pressed and links previewed: somebody waits for every answer",
    "calm": "An event a second, a bit of everything, nothing goes wrong",
    "chat": "A lively group: every kind of message, with its reactions and receipts",
    "corpus": "One of everything: each message, event and callback there is a sample of",
    "discovery": "Discovery hangs, drips, is cut, and answers in ways that cannot be used",
    "hostile": "Honest events among odd payloads and frames that are out of order in every way",
    "limit": "Feishu allows one link, then three, then none beside what is live",
    "losses": "Links are reset, hung up, closed with many codes, broken, silent, half-open",
    "outage": "Feishu is gone for 45 s, then well, then refuses this app for a while",
    "parts": "Every event in eight parts: shuffled, doubled, missing, empty, out of range",
    "pongs": "Pongs carry nothing, half a config, an absurd one, another one; then none come",
    "redelivery": "Confirmations get lost; events come again on Feishu's schedule, 100 times faster",
    "refusals": "Discovery and handshakes are refused, code after code",
    "split": "Every event in four parts, shuffled, one of them twice",
    "storm": "Links are cut, fall silent, are closed; discovery and handshakes are refused",
    "tour": "Every mishap once, one after the other for four minutes; explains every key",
}

LIST: Final = "list"
"""What to say instead of a name to get them all."""


def scenario_table() -> str:
    """Return a line per scenario."""
    width = max(map(len, SCENARIOS))
    return "\n".join(f"{name:<{width}}  {summary}" for name, summary in SCENARIOS.items())
