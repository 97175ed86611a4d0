"""What `toban locks` says: who blocks whom, and what would end it."""

LOCKS: dict[str, tuple[str, str]] = {
    "locks.target": (
        "{target}: waiting {waiting}, root blockers {roots}",
        "{target}: 待機 {waiting}、根本のブロッカー {roots}",
    ),
    "locks.none": ("nobody waits for a lock", "ロック待ちのセッションはありません"),
    "locks.unasked": ("{target}: could not be asked: {reason}", "{target}: 問い合わせできません: {reason}"),
    "locks.untried": ("not tried yet", "未試行"),
    "locks.off": ("`collect: locks:` is switched off", "`collect: locks:` が無効です"),
    "locks.session": ("pid {pid}", "pid {pid}"),
    "locks.prepared": ("prepared transaction {name}", "プリペアドトランザクション {name}"),
    "locks.since": ("{state} for {span}", "{state}、{span}経過"),
    "locks.waits": ("waits {span} for {lock}", "{lock} を {span}待機"),
    "locks.lock_on": ("{mode} on {thing}", "{thing} の {mode}"),
    "locks.victims": ("holds up {count}", "影響 {count}"),
    "locks.cycle": ("waits in a ring", "循環待ち"),
    "locks.also": ("also waits for {others}", "ほかに {others} も待機"),
    "locks.run": (
        "This would end the root blockers and undo their transactions; Toban never runs it:",
        "根本のブロッカーを終了するには(そのトランザクションは取り消されます。Toban は実行しません):",
    ),
    "locks.place": ("{target}, in database {database}", "{target}、データベース {database} で"),
}
