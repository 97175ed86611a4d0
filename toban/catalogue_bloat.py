"""Why a bloated table or index is advised to be rebuilt."""

BLOAT: dict[str, tuple[str, str]] = {
    "action.keep": ("keep", "維持"),
    "advice.bloat_table": (
        (
            "some {percent} % of {size} is dead or free room, by the statistics. VACUUM FULL locks the table until it "
            "is done and needs {left} of free disk and room for its indexes; pg_repack does it without the lock"
        ),
        (
            "統計からの推定で {size} の約 {percent} % が不要領域です。VACUUM FULL は完了までテーブルをロックし、"
            "空きディスクが {left} とインデックス分だけ必要です。pg_repack ならロックなしで実行できます"
        ),
    ),
    "advice.bloat_table_exact": (
        (
            "{percent} % of {size} is dead or free room, as counted. VACUUM FULL locks the table until it is done and "
            "needs {left} of free disk and room for its indexes; pg_repack does it without the lock"
        ),
        (
            "実測で {size} の {percent} % が不要領域です。VACUUM FULL は完了までテーブルをロックし、"
            "空きディスクが {left} とインデックス分だけ必要です。pg_repack ならロックなしで実行できます"
        ),
    ),
    "advice.bloat_index": (
        "some {percent} % of {size} would not be there if it were built anew, by the statistics",
        "統計からの推定で {size} の約 {percent} % は再構築すればなくなる領域です",
    ),
    "advice.bloat_index_exact": (
        "{percent} % of {size} would not be there if it were built anew, as counted",
        "実測で {size} の {percent} % は再構築すればなくなる領域です",
    ),
    "advice.bloat_standby": (
        "{percent} % of {size} would be given back, as counted; only its primary can rebuild it",
        "実測で {size} の {percent} % が不要領域です。再構築はプライマリでのみ実行できます",
    ),
    "advice.bloat_little": (
        "{percent} % of {size} ({bloat}), as counted: not worth a rebuild",
        "実測で {size} の {percent} %({bloat})であり、再構築するほどではありません",
    ),
}
