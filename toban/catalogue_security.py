"""What is not as it should be with files, certificates, the machine's guard and the server's: one sentence each."""

SECURITY: dict[str, tuple[str, str]] = {
    # Files.
    "advice.file_large": ("{size}, larger than {limit}", "{size} あり、上限 {limit} を超えています"),
    "advice.file_owner": ("belongs to {present}, should to {wanted}", "所有者が {present} です({wanted} であるべき)"),
    "advice.file_mode": ("mode is {present}, at most {wanted} is right", "モードが {present} です(最大でも {wanted})"),
    "advice.file_writable_by_all": (
        "everybody may write here (mode {present})",
        "誰でも書き込めます(モード {present})",
    ),
    "advice.secret_password": ("a password stands here (mode {mode})", "パスワードが記載されています(モード {mode})"),
    "advice.secret_url": (
        "an address with a password stands here (mode {mode})",
        "パスワード付きの URL が記載されています(モード {mode})",
    ),
    "advice.secret_private_key": ("a private key stands here (mode {mode})", "秘密鍵が記載されています(モード {mode})"),
    "advice.secret_cloud_key": (
        "a cloud access key stands here (mode {mode})",
        "クラウドのアクセスキーが記載されています(モード {mode})",
    ),
    # Certificates.
    "advice.certificate_ended": ("ended; days ago: {days} ({source})", "期限切れ(経過日数: {days}、{source})"),
    "advice.certificate_ends": (
        "ends soon; days left: {days} ({source})",
        "まもなく期限切れ(残り日数: {days}、{source})",
    ),
    "advice.certificate_early": (
        "is not valid yet; clients refuse it ({source})",
        "まだ有効期間に入っていません。クライアントに拒否されます({source})",
    ),
    # The machine.
    "advice.port_unexpected": (
        "{program} listens on {address}, and nobody expects it",
        "想定外のポートを {program} が {address} で待ち受けています",
    ),
    "advice.port_open": ("{program} listens on {address}", "{program} が {address} で待ち受けています"),
    "advice.update_security": ("a security update waits: {version}", "セキュリティ更新が未適用です: {version}"),
    "advice.lists_old": (
        "the package lists are old; days: {days}",
        "パッケージ一覧が古くなっています(経過日数: {days})",
    ),
    "advice.reboot_package": ("a package asks for a reboot", "パッケージが再起動を要求しています"),
    "advice.reboot_kernel": (
        "a newer kernel is installed than the one that runs",
        "実行中より新しいカーネルがインストールされています",
    ),
    "advice.firewall_none": ("no rule decides over what comes in", "受信を制限するルールがありません"),
    "advice.package_vulnerable": (
        "known to be vulnerable: {known} ({environment})",
        "既知の脆弱性があります: {known}({environment})",
    ),
    # PostgreSQL.
    "advice.pg_ssl_off": ("the server offers no TLS", "サーバが TLS を提供していません"),
    "advice.pg_md5_new": ("new passwords are stored as mere MD5 hashes", "新しいパスワードが MD5 で保存されます"),
    "advice.pg_listens_everywhere": ("the server listens on every address", "すべてのアドレスで待ち受けています"),
    "advice.pg_checksums_off": (
        "pages carry no checksums; pg_checksums adds them while the server is stopped",
        "データチェックサムが無効です(停止中に pg_checksums で有効化できます)",
    ),
    "advice.pg_log_connections_off": ("connections are not logged", "接続がログに記録されません"),
    "advice.pg_public_create": (
        "everybody may create objects in the schema public",
        "誰でも public スキーマにオブジェクトを作成できます",
    ),
    "advice.pg_plain_sessions": (
        "sessions from other machines without TLS: {count}",
        "他のマシンからの TLS なしの接続: {count}",
    ),
    "advice.pg_role_superuser": ("a further role that may do everything", "追加のスーパーユーザです"),
    "advice.pg_role_bypassrls": ("this role passes by row level security", "行単位セキュリティを回避できるロールです"),
    "advice.pg_role_replication": ("this role may copy the whole server", "サーバ全体を複製できるロールです"),
    "advice.pg_role_expired": (
        "the password has ended; drop the role or renew it",
        "パスワードの有効期限が切れています",
    ),
    "advice.pg_md5_verifier": (
        "the stored password is a mere MD5 hash; set it anew",
        "パスワードが MD5 で保存されています(再設定が必要)",
    ),
    "advice.pg_hba_trust": (
        "{users} get into {databases} without a password ({place})",
        "{users} がパスワードなしで {databases} に接続できます({place})",
    ),
    "advice.pg_hba_password": (
        "passwords of {users} cross the network in the clear ({place})",
        "{users} のパスワードが平文で送られます({place})",
    ),
    "advice.pg_hba_md5": (
        "asks {users} for MD5, where scram-sha-256 would do ({place})",
        "{users} の認証が md5 です。scram-sha-256 を推奨します({place})",
    ),
    "advice.pg_hba_error": ("this rule is not in force: {error}", "このルールは無効です: {error}"),
}
