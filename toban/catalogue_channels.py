"""What channels themselves add to a message: buttons, and a mark; its words are in `catalogue_alerts`."""

CHANNELS: dict[str, tuple[str, str]] = {
    "channel.acknowledge": ("Acknowledge", "対応を引き受ける"),
    "channel.runbook": ("Runbook", "手順書"),
    "channel.details": ("Details", "詳細"),
    "channel.repeat": ("possible repeat", "再送の可能性あり"),
}
