"""What stands on the buttons of a message; its words are in `catalogue_alerts`."""

CHANNELS: dict[str, tuple[str, str]] = {
    "channel.acknowledge": ("Acknowledge", "対応を引き受ける"),
    "channel.runbook": ("Runbook", "手順書"),
    "channel.details": ("Details", "詳細"),
}
