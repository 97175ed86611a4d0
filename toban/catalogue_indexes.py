"""Why an index is advised to be dropped, built or left alone."""

INDEXES: dict[str, tuple[str, str]] = {
    "advice.index_invalid": (
        "its build failed: no query reads it, yet every write to {table} keeps it up",
        "構築に失敗したインデックスです。検索には使われないのに、{table} への書き込みのたびに更新されています",
    ),
    "advice.index_invalid_unique": (
        (
            "its build failed: no query reads it, yet every write to {table} keeps it up. Remove the duplicate rows "
            "first, or the rebuild fails as well and leaves another one behind"
        ),
        (
            "構築に失敗したインデックスです。検索には使われないのに、{table} への書き込みのたびに更新されています。"
            "先に重複行を取り除かないと、再構築も失敗して残骸が増えます"
        ),
    ),
    "advice.index_leftover": (
        "a REINDEX CONCURRENTLY of {table} failed and left it behind; the index it was to replace is in service",
        "{table} に対する REINDEX CONCURRENTLY が失敗して残ったものです。元のインデックスは使われています",
    ),
    "advice.index_building": (
        "an index of {table} is being built at this moment; look again when that is done",
        "{table} のインデックスを構築中です。終わってからもう一度確認してください",
    ),
    "advice.index_parts_missing": (
        (
            "not every partition of {table} has its part: build the missing ones with CREATE INDEX CONCURRENTLY, "
            "then ALTER INDEX … ATTACH PARTITION each"
        ),
        (
            "{table} の一部のパーティションに対応するインデックスがありません。CREATE INDEX CONCURRENTLY で作成し、"
            "それぞれ ALTER INDEX … ATTACH PARTITION で取り付けてください"
        ),
    ),
    "advice.index_duplicate": (
        "says the same as {other}, which stays",
        "{other} と同じ内容です。{other} は残ります",
    ),
    "advice.index_duplicate_partitioned": (
        "says the same as {other}, which stays. Dropping it locks {table} and all its partitions for a moment",
        "{other} と同じ内容です。{other} は残ります。削除中は {table} と全パーティションが一時的にロックされます",
    ),
    "advice.index_duplicate_needed": (
        "says the same as {other}, but both are unique or back a constraint: which may go is for a person to say",
        "{other} と同じ内容ですが、どちらも一意性または制約を支えています。どちらを削除するかは人が判断してください",
    ),
    "advice.index_redundant": (
        "{other} begins with the same columns and can do its work; it is wider, so a scan may read a little more",
        "{other} が同じ列で始まっており、代わりになります。幅が広いぶん、読み取りはわずかに増えることがあります",
    ),
    "advice.index_redundant_partitioned": (
        (
            "{other} begins with the same columns and can do its work. Dropping it locks {table} and all its "
            "partitions for a moment"
        ),
        (
            "{other} が同じ列で始まっており、代わりになります。削除中は {table} と全パーティションが一時的にロックされ"
            "ます"
        ),
    ),
    "advice.index_unused": (
        "no query has read it in {days} days, yet every write to {table} keeps it up",
        "{days} 日間一度も読まれていないのに、{table} への書き込みのたびに更新されています",
    ),
    "advice.index_unused_partitioned": (
        "no query has read it in {days} days. Dropping it locks {table} and all its partitions for a moment",
        "{days} 日間一度も読まれていません。削除中は {table} と全パーティションが一時的にロックされます",
    ),
    "advice.index_unused_everywhere": (
        "no query has read it in {days} days, neither here nor on the standbys ({standbys})",
        "{days} 日間、このサーバでもスタンバイ({standbys} 台)でも一度も読まれていません",
    ),
    "advice.index_unused_everywhere_partitioned": (
        (
            "no query has read it in {days} days, neither here nor on the standbys ({standbys}). Dropping it locks "
            "{table} and all its partitions for a moment"
        ),
        (
            "{days} 日間、このサーバでもスタンバイ({standbys} 台)でも一度も読まれていません。"
            "削除中は {table} と全パーティションが一時的にロックされます"
        ),
    ),
    "advice.index_unused_standbys": (
        (
            "no query has read it here in {days} days, but what standbys read ({standbys}) cannot be seen from "
            "here: ask each of them, or have Toban watch them too"
        ),
        (
            "このサーバでは {days} 日間読まれていませんが、スタンバイ({standbys} 台)での利用はここからは分かりませ"
            "ん。各スタンバイで確認するか、スタンバイも Toban の監視対象に加えてください"
        ),
    ),
    "advice.index_unused_early": (
        (
            "indexes that nothing has read yet: {count}. Their use is counted for {days} days only, and {enough} "
            "are needed to call them unused"
        ),
        (
            "まだ読まれていないインデックスが {count} 件ありますが、集計期間がまだ {days} 日です。"
            "{enough} 日たってから未使用と判断します"
        ),
    ),
    "advice.index_scanned": (
        (
            "read from end to end {scans} times in {hours} h, {rows} rows each, though it has {size}: see which "
            "statements look for few rows in it (toban statements), and index what they search by"
        ),
        (
            "サイズ {size} のテーブルが {hours} 時間に {scans} 回、毎回 {rows} 行ずつ全件走査されています。"
            "toban statements で該当の文を調べ、検索条件の列にインデックスを検討してください"
        ),
    ),
    "advice.index_unindexed_key": (
        (
            "no index begins with the columns of the foreign key {constraint}: each row deleted from {other} reads "
            "all of it ({size})"
        ),
        (
            "外部キー {constraint} の列で始まるインデックスがなく、{other} の行を削除するたびに全体({size})が走査されま"
            "す"
        ),
    ),
    "advice.index_unindexed_key_partitioned": (
        (
            "no index begins with the columns of the foreign key {constraint}: each row deleted from {other} reads "
            "all of it ({size}). On a partitioned table the build blocks writes; to avoid that, index each "
            "partition concurrently"
        ),
        (
            "外部キー {constraint} の列で始まるインデックスがなく、{other} の行を削除するたびに全体({size})が走査さ"
            "れます。パーティションテーブルでは作成中に書き込みが止まります。避けるにはパーティションごとに "
            "CONCURRENTLY で作成してください"
        ),
    ),
    "advice.indexes_never": (
        (
            "Never advised: to drop what is unique, a primary key, backs a constraint, serves a foreign key or is a "
            "replica identity, or what a standby reads."
        ),
        (
            "一意、主キー、制約や外部キーを支えるもの、レプリカアイデンティティ、スタンバイで使われているインデックスの"
            "削除は勧めません。"
        ),
    ),
    "advice.without": ("{target}: no advice on {what}: {why}", "{target}: {what} の推奨事項なし: {why}"),
}
