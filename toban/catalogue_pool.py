"""What `toban advise pool` says: the reason of each line of pgbouncer.ini, and what stands around the files."""

POOL: dict[str, tuple[str, str]] = {
    "pool.title": (
        "PgBouncer before {host}:{port}, by `toban advise pool`.",
        "{host}:{port} の手前に置く PgBouncer の設定(`toban advise pool` が作成)。",
    ),
    # The lines, in their order.
    "pool.every_database": (
        "The server has many databases: one line stands for all.",
        "データベースが多いため、1 行ですべてを表す。",
    ),
    "pool.listen_addr": (
        "Loopback only: put the applications' addresses here when they run elsewhere, and TLS (client_tls_sslmode).",
        "ループバックのみ。アプリケーションが別のホストにあるなら、そのアドレスと TLS(client_tls_sslmode)を設定する。",
    ),
    "pool.listen_port": ("PgBouncer's usual port.", "PgBouncer の通常のポート。"),
    "pool.unix_socket_dir": (
        "The folder of the socket for applications on this machine; it must exist.",
        "同じマシンのアプリケーション用ソケットのフォルダ。存在していなければならない。",
    ),
    "pool.auth_type": (
        "SCRAM: neither the network nor the userlist holds what one could log in with. md5 is broken.",
        "SCRAM では、通信にも userlist にも、そのままログインできる情報が残らない。md5 は安全ではない。",
    ),
    "pool.auth_file": (
        "The roles and their SCRAM verifiers; mode 0600, owned by PgBouncer's user.",
        "ロールと SCRAM 検証値。権限は 0600、所有者は PgBouncer の実行ユーザ。",
    ),
    "pool.auth_user": (
        "Toban's role may not read the verifiers, so PgBouncer asks as this role: see the SQL at the end.",
        "Toban のロールは検証値を読めないため、PgBouncer がこのロールで問い合わせる。末尾の SQL を参照。",
    ),
    "pool.auth_query": (
        "Asked for each role that is not in auth_file.",
        "auth_file にないロールについて、この問い合わせを行う。",
    ),
    "pool.stats_users": (
        "Who may look at the console: Toban (`kind: pgbouncer`). Its line must stand in auth_file.",
        "コンソールを閲覧できるユーザ。Toban が使う(`kind: pgbouncer`)。auth_file に行が必要。",
    ),
    "pool.tls": (
        "As `dsn` of the target has it: the way to the server is encrypted.",
        "監視対象の `dsn` と同じく、サーバまでの経路を暗号化する。",
    ),
    "pool.pool_mode": (
        "A server is lent for one transaction. Not for SET, LISTEN, session advisory locks and cursors WITH HOLD.",
        "トランザクション単位で貸す。SET、LISTEN、セッション単位のアドバイザリロック、WITH HOLD は使えない。",
    ),
    "pool.max_client_conn": (
        "Most clients at once. PgBouncer needs {files} file descriptors for them (LimitNOFILE of its unit).",
        "同時クライアント数の上限。ファイルディスクリプタが {files} 必要(ユニットの LimitNOFILE)。",
    ),
    "pool.default_pool_size": (
        "Servers for each database and user. More at work at once rarely make PostgreSQL faster.",
        "データベースとユーザの組ごとのサーバ接続数。これ以上同時に動かしても、速くなることは少ない。",
    ),
    "pool.min_pool_size": (
        "Servers kept open, so that the first queries after a pause need not wait for a login.",
        "常に開いておくサーバ接続数。休止後の最初の問い合わせがログインを待たずに済む。",
    ),
    "pool.reserve_pool_size": (
        "Further servers for a pool whose clients wait for longer than reserve_pool_timeout.",
        "クライアントが reserve_pool_timeout より長く待つプールに、追加するサーバ接続数。",
    ),
    "pool.reserve_pool_timeout": (
        "In seconds: a burst shorter than this waits its turn.",
        "秒。これより短い混雑は順番を待たせる。",
    ),
    "pool.max_db_connections": (
        (
            "Most servers of a database, all users together. The server has {max_connections} slots: {reserved} are "
            "reserved, {kept} kept for what does not go through the pool, the rest is shared by databases: {databases}."
        ),
        (
            "データベースごとのサーバ接続数の上限(全ユーザ合計)。枠は {max_connections}。うち {reserved} は予約済み、"
            "{kept} はプールを通らないもののために残し、残りをデータベース({databases} 個)で分ける。"
        ),
    ),
    "pool.query_wait_timeout": (
        "In seconds: who waits longer for a server gets an error instead of waiting for ever.",
        "秒。これより長くサーバ接続を待つクライアントには、いつまでも待たせずエラーを返す。",
    ),
    "pool.server_idle_timeout": (
        "In seconds: a server that nobody needed for so long gives its slot back.",
        "秒。この間使われなかったサーバ接続は閉じ、枠を返す。",
    ),
    "pool.server_lifetime": (
        "In seconds: then a server is replaced, which frees what its backend has gathered.",
        "秒。これを過ぎたサーバ接続は作り直し、バックエンドがためたメモリを解放する。",
    ),
    "pool.max_prepared_statements": (
        "Prepared statements of the protocol work in transaction mode: most that PgBouncer keeps for a server.",
        "プロトコルレベルのプリペアド文を transaction モードでも使えるようにする。サーバ接続ごとの保持数の上限。",
    ),
    "pool.max_prepared_statements_off": (
        (
            "From PgBouncer 1.21 on: take the ; away there. Before, switch prepared statements off in the driver "
            "(prepareThreshold=0, statement_cache_size=0, prepare_threshold=None)."
        ),
        (
            "PgBouncer 1.21 以降では先頭の ; を外す。それより前では、ドライバ側でプリペアド文を無効にする"
            "(prepareThreshold=0、statement_cache_size=0、prepare_threshold=None)。"
        ),
    ),
    "pool.ignore_startup_parameters": (
        "JDBC sends it when it connects, and it changes nothing since PostgreSQL 12. What matters is never ignored.",
        "JDBC が接続時に送るが、PostgreSQL 12 以降は結果を変えない。意味のあるパラメータは無視しない。",
    ),
    "pool.log_connections": ("Who came.", "接続の記録。"),
    "pool.log_disconnections": ("Who left, and why.", "切断とその理由の記録。"),
    "pool.log_pooler_errors": ("What PgBouncer told its clients.", "PgBouncer がクライアントに返したエラーの記録。"),
    # Around the files.
    "pool.left_out_database": (
        "left out, its name cannot stand in the file: {name}",
        "設定ファイルに書けない名前のため除外: {name}",
    ),
    "pool.userlist": (
        "userlist.txt: roles {roles}; `--out DIR` writes both files, `--out -` prints them",
        "userlist.txt: ロール {roles} 個。`--out DIR` で両方のファイルを書き出し、`--out -` で表示する",
    ),
    "pool.left_out_role": ("left out of the userlist: {role} ({why})", "userlist から除外: {role}({why})"),
    "pool.left.md5": (
        "md5 only; set password_encryption = 'scram-sha-256' and its password anew",
        "md5 のみ。password_encryption = 'scram-sha-256' にしてパスワードを再設定する",
    ),
    "pool.left.no_password": ("no password", "パスワードなし"),
    "pool.left.expired": ("its password has expired", "パスワードの期限切れ"),
    "pool.left.name": ("a name that cannot stand in the file", "ファイルに書けない名前"),
    "pool.lookup": (
        (
            "Run this with psql. Then write userlist.txt: a line for the role in stats_users, and in plain text "
            '"pgbouncer" "PASSWORD" (a verifier will not do here: PgBouncer itself logs in with it)'
        ),
        (
            "次を psql で実行する。userlist.txt には、stats_users のロールの行と、次の平文の行を書く: "
            '"pgbouncer" "PASSWORD"(PgBouncer 自身がログインに使うため、検証値では足りない)'
        ),
    ),
    "pool.written": ("written: {path}", "書き出しました: {path}"),
}
