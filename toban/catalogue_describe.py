"""What `toban metrics --describe` says around a metric's declaration."""

DESCRIBE: dict[str, tuple[str, str]] = {
    "describe.type": ("type", "種類"),
    "describe.unit": ("unit", "単位"),
    "describe.labels": ("labels", "ラベル"),
    "describe.collector": ("collector", "コレクタ"),
    "describe.kind": ("kind of target", "監視対象の種別"),
    "describe.every": ("every", "収集間隔"),
    "describe.purpose": ("good for", "用途"),
    "describe.sql": ("asked with", "使用する SQL"),
    "describe.kept": ("kept: `toban history` shows its course", "履歴に保存:`toban history` で推移を表示"),
    "describe.not_kept": ("not kept: its values of now alone", "履歴には保存しない:現在値のみ"),
    "describe.nowhere": ("no target of kind {kind} is configured", "種別 {kind} の監視対象は設定されていません"),
    "describe.nothing_to_tell": (
        "measured, and there is nothing of the kind (yet): no such object, or no interval to take a rate over",
        "収集済みだが該当なし:対象が存在しないか、率を計算する間隔がまだない",
    ),
}
