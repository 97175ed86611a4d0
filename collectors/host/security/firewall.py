"""Whether a firewall is at work: the rules in the kernel, which ufw and firewalld write, by nftables or iptables."""

import re

from collectors.host.programs import Programs, Ran
from toban.outcomes import Failure, Reason

TIMEOUT_SECONDS = 5.0
_REFUSED = re.compile(r"not permitted|permission denied|must be root", re.IGNORECASE)
_HOOK = re.compile(r"hook input [^;]*;(?: policy (?P<policy>\w+);)?")
_STRUCTURE = re.compile(r"^(?:table|chain|set|map|counter|flowtable|type|elements|policy|comment|flags|}|#)")


async def firewall_rules(programs: Programs) -> int | Failure:
    """How many rules decide over what comes in; a policy that drops counts as one."""
    nft, iptables = programs.find("nft"), programs.find("iptables-save")
    if nft:
        ran = await programs.run(nft, "list", "ruleset", timeout_seconds=TIMEOUT_SECONDS)
        return _refusal(ran) if ran.status else count_nftables(ran.output)
    if iptables:
        ran = await programs.run(iptables, timeout_seconds=TIMEOUT_SECONDS)
        return _refusal(ran) if ran.status else count_iptables(ran.output)
    hint = "what guards this machine from outside of it cannot be seen from here"
    return Failure(reason=Reason.UNSUPPORTED, detail="neither nft nor iptables-save is installed", hint=hint)


def count_nftables(ruleset: str) -> int:
    """Rules of the chains that hang on the input hook, and of those that they jump to: all of such a table."""
    count = 0
    for table in re.split(r"^table ", ruleset, flags=re.MULTILINE)[1:]:
        hooks = list(_HOOK.finditer(table))
        if hooks:
            count += sum(hook["policy"] == "drop" for hook in hooks)
            lines = (line.strip() for line in table.splitlines()[1:])
            count += sum(1 for line in lines if line and not _STRUCTURE.match(line))
    return count


def count_iptables(rules: str) -> int:
    """Rules of the table `filter`, and its INPUT policy when it drops."""
    table = rules.partition("*filter")[2].partition("COMMIT")[0]
    lines = table.splitlines()
    return sum(line.startswith("-A ") for line in lines) + sum(line.startswith(":INPUT DROP") for line in lines)


def _refusal(ran: Ran) -> Failure:
    said = " ".join((ran.complaint or ran.output).split())[:200]
    if _REFUSED.search(said):
        hint = "the rules are for root's eyes; give the unit AmbientCapabilities=CAP_NET_ADMIN if they should be told"
        return Failure(reason=Reason.PRIVILEGE, detail=said, hint=hint)
    return Failure(reason=Reason.UNSUPPORTED, detail=said or f"it ended with {ran.status}")
