"""Why a setting had better have another value: one sentence for each that `toban advise settings` speaks of."""

SETTINGS: dict[str, tuple[str, str]] = {
    "advising.reckoned": (
        "{target} is reckoned with {memory}, {cpus} cores, {disk}, {connections} connections: options say otherwise",
        "{target}: {memory}、{cpus} コア、{disk}、{connections} 接続として計算(オプションで変更できます)",
    ),
    "action.reload": ("reload", "再読み込み"),
    "advice.settings.reload": (
        "what needs no restart is in force once the server has read its files again",
        "再起動が不要な設定は、設定ファイルを再読み込みすると有効になります",
    ),
    "advice.settings.restart": (
        "these are in force only after a restart, at a time of your choice: {names}",
        "次の設定は再起動後に有効になります(時期は選べます): {names}",
    ),
    "advice.settings.max_connections": (
        "as many connections as were asked for: {connections}; after a restart, and first on the standbys",
        "指定された接続数 {connections} に合わせます。再起動が必要で、スタンバイから先に変更します",
    ),
    "advice.settings.too_many_connections": (
        "{memory} bear about {bearable} connections, not {connections}: fewer behind a pool do more",
        "メモリ {memory} では {bearable} 接続ほどが限度で、{connections} は多すぎます。プールを介して減らしてください",
    ),
    "advice.settings.shared_buffers": (
        "a quarter of the memory ({memory}): the server's own cache; the rest caches files and serves queries",
        "メモリ({memory})の 4 分の 1 をサーバ自身のキャッシュに充て、残りは OS のキャッシュとクエリに使います",
    ),
    "advice.settings.effective_cache_size": (
        "three quarters of the memory ({memory}) cache data: the planner ought to know; nothing is reserved by it",
        "メモリ({memory})の 4 分の 3 がキャッシュとして働くことをプランナに伝えます。領域を確保するものではありません",
    ),
    "advice.settings.work_mem": (
        "sorts and hashes stay in memory, and {connections} connections at work still fit into {memory}",
        "ソートとハッシュをメモリ内に収め、かつ {connections} 接続が同時に使っても {memory} に収まる値です",
    ),
    "advice.settings.maintenance_work_mem": (
        "a sixteenth of the memory ({memory}): VACUUM and CREATE INDEX go over their data fewer times",
        "メモリ({memory})の 16 分の 1。VACUUM や CREATE INDEX の走査回数が減ります",
    ),
    "advice.settings.wal_buffers": (
        "room for a whole WAL segment, so that sessions do not wait for each other's writes",
        "WAL セグメント 1 個分を確保し、セッション同士の書き込み待ちを防ぎます",
    ),
    "advice.settings.checkpoint_completion_target": (
        "a checkpoint's writes are spread over the time until the next one, with no burst",
        "チェックポイントの書き込みを次回までの時間に分散し、集中を避けます",
    ),
    "advice.settings.min_wal_size": (
        "WAL files are used again instead of being made anew whenever the load rises; this much disk is always taken",
        "負荷が上がるたびに WAL ファイルを作り直さず再利用します。この分のディスクは常に使われます",
    ),
    "advice.settings.max_wal_size": (
        "checkpoints come by time and not because WAL ran full: fewer full-page writes. It is taken from the disk",
        "WAL の量ではなく時間でチェックポイントを起こし、全ページ書き込みを減らします。その分のディスクが必要です",
    ),
    "advice.settings.checkpoint_timeout": (
        "between checkpoints too frequent, which write much twice, and too rare, which make a recovery long",
        "頻繁すぎると同じページを何度も書き、間隔が長すぎると障害復旧に時間がかかるため、その中間にします",
    ),
    "advice.settings.fsync": (
        "without it a crash of the machine destroys the data beyond repair",
        "無効のままマシンが停止すると、データが修復不能なまでに壊れます",
    ),
    "advice.settings.full_page_writes": (
        "without it a crash in mid-write leaves torn pages; only a file system that never tears one may do without",
        "無効のまま書き込み中に停止すると、ページが破損します。破損を防ぐファイルシステムの場合のみ不要です",
    ),
    "advice.settings.random_page_cost": (
        "on {disk} this is what a random read costs against a sequential one: index scans are chosen when they pay",
        "{disk} における順次読み取りに対するランダム読み取りのコスト比で、索引走査が適切に選ばれるようになります",
    ),
    "advice.settings.effective_io_concurrency": (
        "{disk} answers so many reads at once: bitmap scans read ahead instead of waiting for each page",
        "{disk} が同時に処理できる読み取り数で、ビットマップ走査が 1 ページずつ待たずに先読みします",
    ),
    "advice.settings.default_statistics_target": (
        "long queries over large tables are worth better estimates, and ANALYZE the time for them",
        "大きなテーブルへの長いクエリでは、ANALYZE に時間をかけて推定の精度を上げる価値があります",
    ),
    "advice.settings.max_worker_processes": (
        "a slot for each of {cpus} cores, and some for replication and extensions; first on the standbys",
        "{cpus} コア分に加え、レプリケーションや拡張機能の分も確保します。スタンバイから先に変更します",
    ),
    "advice.settings.max_parallel_workers": (
        "as many as there are cores ({cpus}): more would only wait for each other",
        "コア数({cpus})に合わせます。それ以上あっても互いに待つだけです",
    ),
    "advice.settings.max_parallel_workers_per_gather": (
        "one query takes no more than its share of {cpus} cores",
        "1 つのクエリが {cpus} コアを占有しないようにします",
    ),
    "advice.settings.track_counts": (
        "without it autovacuum does not know where to go, and Toban not how tables are used",
        "無効では autovacuum が対象を判断できず、Toban もテーブルの利用状況を把握できません",
    ),
    "advice.settings.autovacuum": (
        "without it dead rows pile up until the server stops to save itself from wraparound",
        "無効では不要行がたまり続け、最後は XID 周回を防ぐためにサーバが停止します",
    ),
    "advice.settings.autovacuum_max_workers": (
        "one large table would keep all workers busy, and the others would wait",
        "大きなテーブル 1 つでワーカーがふさがり、ほかのテーブルが待たされます",
    ),
    "advice.settings.autovacuum_naptime": (
        "busy tables gather dead rows while autovacuum sleeps",
        "autovacuum の休止中に、更新の多いテーブルへ不要行がたまります",
    ),
    "advice.settings.autovacuum_vacuum_cost_delay": (
        "longer pauses were meant for the disks of former days: vacuum would not keep up",
        "長い待ち時間は旧来のディスク向けの値で、VACUUM が更新に追いつきません",
    ),
    "advice.settings.autovacuum_vacuum_scale_factor": (
        "a larger share lets large tables bloat before vacuum comes",
        "これより大きいと、VACUUM が始まる前に大きなテーブルが肥大化します",
    ),
    "advice.settings.log_min_duration_statement": (
        "statements that take longer than this stand in the log, with their text",
        "これより長くかかった文をログに残します(文の内容を含みます)",
    ),
    "advice.settings.log_checkpoints": (
        "a line for each checkpoint tells why it came and what it wrote",
        "チェックポイントごとに、契機と書き込み量をログに残します",
    ),
    "advice.settings.log_lock_waits": (
        "whoever waits for a lock for long is named in the log, with whom it waits for",
        "長いロック待ちを、待たせている相手とともにログに残します",
    ),
    "advice.settings.log_temp_files": (
        "large temporary files tell which queries want more work_mem",
        "大きな一時ファイルの記録から、work_mem が不足しているクエリがわかります",
    ),
    "advice.settings.log_autovacuum_min_duration": (
        "long runs of autovacuum are told, with what they could not remove",
        "長時間の autovacuum を、除去できなかった行とともにログに残します",
    ),
    "advice.settings.log_line_prefix": (
        "each line tells when, which process, user, database, application and client",
        "各行に時刻・プロセス・ユーザ・データベース・アプリケーション・接続元を記録します",
    ),
}
