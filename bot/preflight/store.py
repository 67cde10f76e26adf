"""The store: that it answers, keeps what it acknowledged, and is Dolly's alone."""

from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from bot.errors import StoreUnavailable
from bot.preflight.addresses import judge_plain
from bot.preflight.clock import judge_clock
from bot.preflight.finding import Finding, Verdict
from bot.store.connection import Client, connect
from bot.store.inspection import StoreReport, inspect, sentences
from bot.store.rights import Rights, rights_of_user
from bot.store.standing import Standing, standings

FLOORS = {
    "Redis": {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "Valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}
"""The first release of each series without CVE-2025-49844, by which a Lua script could leave its sandbox; later series
never had it. Redis' other known ones want commands that deploy/store-users.acl does not give."""

OPERATOR = "redis-cli CONFIG GET"


async def check_store(
    redis_url: str, *, cluster: bool = False, wait_replicas: int = 0, production: bool = False
) -> list[Finding]:
    """Whether the store answers, and keeps what it acknowledged; in `production`, each promise about it."""
    try:
        client = connect(redis_url, cluster=cluster)
        try:
            report = await inspect(client)
            further = await _in_production(client, redis_url, wait_replicas) if production else []
        finally:
            await client.aclose()
    except StoreUnavailable as error:
        return [Finding("Store", "answers", "wrong", str(error))]
    persisted, refused = "What it acknowledges is on its disk.", "A full memory refuses, and drops nothing."
    return [
        Finding("Store", "answers", "safe", f"Version {report.version}."),
        _kept("persistence", report, ("appendonly", "appendfsync"), persisted),
        _kept("eviction", report, ("maxmemory-policy",), refused),
        *further,
    ]


def _kept(promise: str, report: StoreReport, names: Sequence[str], good: str) -> Finding:
    """One finding of the settings `names`, on all servers."""
    settings = [one for one in report.promises if one.name in names]
    broken = sentences(one for one in settings if one.kept is False)
    untold = sentences(one for one in settings if one.kept is None)
    if not broken and not untold:
        return Finding("Store", promise, "safe", good)
    commands = [f"`{OPERATOR} {one.name}`" for one in settings if one.kept is None]
    asked = [f"Whoever runs it can see by {' and '.join(dict.fromkeys(commands))}."] if commands else []
    return Finding("Store", promise, "unsafe" if broken else "cannot tell", " ".join([*broken, *untold, *asked]))


async def _in_production(client: Client, redis_url: str, wait_replicas: int) -> list[Finding]:
    servers = await standings(client)
    rights = await rights_of_user(client)
    furthest = max(servers, key=lambda server: abs(server.ahead_seconds))
    matter = "how long a question has waited is reckoned wrong"
    return [
        _replicas(servers, wait_replicas),
        await judge_transport(redis_url),
        _user(rights, redis_url),
        _keys(rights),
        _commands(rights),
        judge_version(servers),
        judge_clock("Store", "the store's", furthest.ahead_seconds, matter),
    ]


def _replicas(servers: Sequence[Standing], wait_replicas: int) -> Finding:
    """Judged by the primary that has the fewest."""

    def found(verdict: Verdict, sentence: str) -> Finding:
        return Finding("Store", "replicas", verdict, sentence)

    primaries = [server for server in servers if server.role == "master"]
    if not all(server.role for server in servers):
        sentence = (
            "The store does not say whether it has replicas; where it has, set REDIS_WAIT_REPLICAS to at least 1."
        )
        return found("cannot tell", sentence)
    if not primaries:
        return found("wrong", "The store is a read-only replica; let REDIS_URL name the primary.")
    fewest = min(server.replicas for server in primaries)
    if fewest < wait_replicas:
        sentence = (
            f"REDIS_WAIT_REPLICAS wants {wait_replicas} replicas to confirm, and a primary has {fewest}: no question "
            "would be taken. Add replicas, or set it lower."
        )
        return found("wrong", sentence)
    if fewest and not wait_replicas:
        sentence = (
            "The store has replicas, and nobody waits for them: when one takes over, what it had not got yet is lost. "
            "Set REDIS_WAIT_REPLICAS=1."
        )
        return found("unsafe", sentence)
    if not fewest:
        return found("safe", "It has none: what is on its disk is all there is. Back it up (docs/backup.md).")
    if any(server.min_replicas_to_write is None for server in primaries):
        sentence = (
            f"{wait_replicas} confirm before Slack is told. Whether a primary that was cut off from them still takes "
            f"writes: `{OPERATOR} min-replicas-to-write` should be at least 1."
        )
        return found("cannot tell", sentence)
    if any(server.min_replicas_to_write == 0 for server in primaries):
        sentence = (
            "A primary that is cut off from its replicas still takes writes, which are lost once another took over; "
            "set min-replicas-to-write 1."
        )
        return found("unsafe", sentence)
    return found("safe", f"{wait_replicas} of {fewest} confirm before Slack is told that a question was received.")


async def judge_transport(redis_url: str) -> Finding:
    """Who can read along between here and the store, or pose as it."""
    parts = urlsplit(redis_url)
    options = {name: values[-1].lower() for name, values in parse_qs(parts.query).items()}

    def found(verdict: Verdict, sentence: str) -> Finding:
        return Finding("Store", "transport", verdict, sentence)

    if parts.scheme == "unix":
        return found("safe", "A socket of this machine.")
    if parts.scheme == "rediss":
        if options.get("ssl_cert_reqs", "required") != "required":
            sentence = (
                "TLS without a look at the certificate: anybody between may pose as the store. Take ssl_cert_reqs out "
                "of REDIS_URL, and name your CA with ssl_ca_certs=<file>."
            )
            return found("unsafe", sentence)
        if options.get("ssl_check_hostname", "true") in ("false", "no", "0", "n", "f"):
            sentence = (
                "TLS that takes a certificate of any host: whoever has one of the same CA may pose as the store. Take "
                "ssl_check_hostname out of REDIS_URL."
            )
            return found("unsafe", sentence)
        return found("safe", "TLS, and the server's certificate is verified.")
    verdict, reason = await judge_plain(parts.hostname or "localhost")
    remedy = "." if verdict == "safe" else ", the store's password too; let REDIS_URL begin with rediss://."
    return found(verdict, f"No TLS: {reason}{remedy}")


def _user(rights: Rights, redis_url: str) -> Finding:
    user = rights.user or urlsplit(redis_url).username or "default"
    if user == "default":
        sentence = (
            "Dolly is the store's user `default`, who may do everything; give it a user of its own with a password, "
            "as deploy/store-users.acl has it, and switch `default` off."
        )
        return Finding("Store", "user", "unsafe", sentence)
    return Finding("Store", "user", "safe", f"Dolly has a user of its own, `{user}`.")


def _keys(rights: Rights) -> Finding:
    if rights.reads_all_keys:
        sentence = (
            "The store's user may read keys that are not Dolly's; limit it to ~dolly:* ~retrain:* ~model:*, as "
            "deploy/store-users.acl has it."
        )
        return Finding("Store", "keys", "unsafe", sentence)
    return Finding("Store", "keys", "safe", "A key that is not Dolly's was refused.")


def _commands(rights: Rights) -> Finding:
    if rights.beyond:
        sentence = (
            f"The store's user may use what Dolly never does, {', '.join(rights.beyond)} among it; give it the rights "
            "in deploy/store-users.acl and no other."
        )
        return Finding("Store", "commands", "unsafe", sentence)
    if rights.is_sample:
        sentence = (
            "Of five harmless commands beyond deploy/store-users.acl, each was refused. The whole list: `ACL "
            "GETUSER`, as whoever runs the store."
        )
        return Finding("Store", "commands", "safe", sentence)
    sentence = "It refuses FLUSHALL, CONFIG SET and their like; they were asked about, not sent."
    return Finding("Store", "commands", "safe", sentence)


def judge_version(servers: Sequence[Standing]) -> Finding:
    """Whether any of them is of a release with a known hole."""
    for server in servers:
        parts = [int(part) for part in server.version.split(".")[:3] if part.isdigit()]
        if len(parts) < 3:
            sentence = "The store does not say its version; it should be one without CVE-2025-49844."
            return Finding("Store", "version", "cannot tell", sentence)
        series, floors = (parts[0], parts[1]), FLOORS[server.software]
        name = f"{server.software} {server.version}"
        if series > max(floors):
            continue
        if series not in floors:
            sentence = (
                f"{name}: its makers mend this series no more. Where it is a distribution's, see that theirs has "
                "mended CVE-2025-49844; else take a newer one."
            )
            return Finding("Store", "version", "cannot tell", sentence)
        if parts[2] < floors[series]:
            first = f"{server.software} {series[0]}.{series[1]}.{floors[series]}"
            sentence = f"{name} has CVE-2025-49844 (a script leaves its sandbox); take {first} or newer."
            return Finding("Store", "version", "unsafe", sentence)
    return Finding("Store", "version", "safe", "None of its servers has CVE-2025-49844.")
