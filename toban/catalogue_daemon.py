"""Sentences of the daemon and of its commands: its line in `systemctl status`, start, reload, stop, demo, config."""

DAEMON: dict[str, tuple[str, str]] = {
    # STATUS= to systemd: one sentence per round.
    "daemon.round": (
        "targets answering: {answering} of {targets}; values: {values}; slowest turn: {slowest}",
        "監視対象 {targets} 件中 {answering} 件が応答、値 {values} 件、最長の収集 {slowest}",
    ),
    "daemon.round.down": (
        "targets answering: {answering} of {targets}; down: {down}; values: {values}; slowest turn: {slowest}",
        "監視対象 {targets} 件中 {answering} 件が応答、停止 {down}、値 {values} 件、最長の収集 {slowest}",
    ),
    # `toban config`.
    # `toban demo`.
    "demo.starting": ("starting a throw-away PostgreSQL {version}", "使い捨ての PostgreSQL {version} を起動しています"),
    "demo.loading": ("making tables and a little load", "テーブルを作成し、軽い負荷をかけています"),
    "demo.watching": ("watching; metrics: {url}", "監視中(メトリクス: {url})"),
    "demo.ask": (
        "ask it in another terminal: {program} -c {config} status (or locks, metrics, statements, advise indexes)",
        "別の端末から確認: {program} -c {config} status(ほかに locks, metrics, statements, advise indexes)",
    ),
    "demo.stop_hint": ("Ctrl-C ends it and removes everything", "Ctrl-C で終了し、すべて削除します"),
    "demo.cleaning": ("removing everything", "すべて削除しています"),
    "demo.cleaned": ("everything is removed", "すべて削除しました"),
    "demo.kept": ("kept in {directory}", "{directory} に保存しました"),
    "demo.heard": ("told: {title}", "通知: {title}"),
    "demo.heard.nothing": (
        "nothing yet; the queue at the till is told within a minute",
        "まだありません。レジの行列が1分以内に通知されます",
    ),
    "demo.told": (
        "what the receiver was told (answer: toban alerts ack ID)",
        "受信側に届いた通知(応答: toban alerts ack ID)",
    ),
    "demo.alert.fired": ("a blocked queue was told to the receiver", "ロック待ちが受信側に通知されました"),
    "demo.alert.acknowledged": (
        "acknowledged from the terminal, and the receiver knows",
        "端末から確認応答し、受信側に伝わりました",
    ),
    "demo.alert.resolved": ("over, and the receiver knows", "解消し、受信側に伝わりました"),
    "demo.backup": ("backup", "バックアップ"),
    "demo.backup.coming": ("a dump is being made", "ダンプを取得しています"),
    "demo.backup.made": ("a backup was made", "バックアップを取得しました"),
    "demo.backup.restored": (
        "it was restored beside the original, and compared",
        "別のデータベースに復元し、照合しました",
    ),
    "demo.backup.same": (
        "tables: {tables}, rows: {rows}, all as in the dump's snapshot",
        "テーブル {tables} 個、{rows} 行がダンプ時点と一致",
    ),
    "demo.backup.proven": ("it is proven, by a restore into a server of its own", "専用サーバへの復元で実証しました"),
    "demo.measured": ("what was measured", "計測結果"),
    "demo.all_worked": ("every collector measured", "すべてのコレクタが計測に成功しました"),
    "demo.not_all_worked": ("collectors without values: {collectors}", "値を取得できなかったコレクタ: {collectors}"),
    "demo.connections": ("connections", "接続数"),
    "demo.transactions": ("transactions per second", "トランザクション/秒"),
    "demo.cache_hit": ("cache hit", "キャッシュヒット率"),
    "demo.size": ("database size", "データベースサイズ"),
    "demo.slow": ("slow statements", "遅い文"),
    "demo.cpu": ("CPU", "CPU"),
    "demo.memory": ("memory", "メモリ"),
    "demo.load": ("load", "負荷"),
    # `toban setup postgresql`.
    "setup.preview": (
        "run this as a superuser in {database}, or add --apply",
        "{database} でスーパーユーザとして実行するか、--apply を付けてください",
    ),
    "setup.applied": ("done; statements run: {count}", "完了しました(実行した文: {count} 件)"),
    "setup.stopped": ("stopped; statements not run: {count}", "中断しました(未実行の文: {count} 件)"),
    "setup.nothing": ("nothing is missing", "不足はありません"),
    "setup.restart": (
        "the server must be restarted for: {settings}",
        "反映にはサーバの再起動が必要です: {settings}",
    ),
}
