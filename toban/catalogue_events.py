"""What happened, in words: the headings of `toban events` and the kinds of events."""

EVENTS: dict[str, tuple[str, str]] = {
    "table.events": ("What happened since {since}", "{since} 以降の出来事"),
    "empty.events": ("nothing happened in this span", "この期間に記録された出来事はありません"),
    "events.more": (
        "only the latest {count} are shown; --top shows more",
        "最新の {count} 件のみ表示(--top で増やせます)",
    ),
    "column.at": ("time", "時刻"),
    "column.event": ("what happened", "出来事"),
    "column.event_subject": ("to what", "対象"),
    "column.before": ("before", "変更前"),
    "column.after": ("after", "変更後"),
    "column.event_detail": ("where", "場所"),
    "event.setting_changed": ("setting changed", "設定の変更"),
    "event.restart_pending": ("waits for a restart", "再起動待ち"),
    "event.restarted": ("restarted", "再起動"),
    "event.replaced": ("another server answers", "別のサーバに切り替わり"),
    "event.promoted": ("promoted to primary", "プライマリへ昇格"),
    "event.demoted": ("became a standby", "スタンバイへ降格"),
    "event.upgraded": ("other version", "バージョンの変更"),
    "event.file_changed": ("file changed", "ファイルの変更"),
    "event.backup_failed": ("backup failed", "バックアップの失敗"),
    "event.backup_damaged": ("backup damaged", "バックアップの破損"),
    "event.backup_unusual": ("backup unlike the others", "バックアップの異常な変化"),
}
