CREATE TABLE IF NOT EXISTS meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL  -- JSON
) WITHOUT ROWID;

-- The index: where each used transcript stands, and how it is cut. A transcript may have several prefixes.
CREATE TABLE IF NOT EXISTS prefixes (
    id TEXT PRIMARY KEY,
    transcript TEXT NOT NULL,
    file TEXT NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    cluster TEXT NOT NULL,
    stratum TEXT NOT NULL,
    weight REAL NOT NULL,
    traffic REAL NOT NULL,  -- the transcript's own sampling weight
    cut INTEGER NOT NULL,
    cut_end INTEGER NOT NULL,
    messages INTEGER NOT NULL,  -- in the whole transcript, as are its calls
    calls INTEGER NOT NULL,
    prior_turns INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    tools INTEGER NOT NULL,
    date TEXT,
    retain_until TEXT,
    passed_over INTEGER NOT NULL,  -- places of the transcript where no cut was possible
    scrubbed TEXT NOT NULL,  -- JSON: how much of the transcript was replaced by pseudonyms, by kind
    missing TEXT NOT NULL,  -- what the log lacks of what the original model saw, by comma
    shortened TEXT NOT NULL,  -- the roles for which it is shortened, by comma
    reasoning INTEGER NOT NULL,  -- 1: its log holds reasoning before the cut, which is left out of the prefix
    toolset TEXT NOT NULL,  -- hash of the inferred tool schemas
    draw INTEGER NOT NULL  -- the place of its cluster in the drawn order
);
CREATE INDEX IF NOT EXISTS prefixes_in_drawn_order ON prefixes (draw, cluster, id);
CREATE INDEX IF NOT EXISTS prefixes_of_a_transcript ON prefixes (transcript);

-- Inferred tool schemas, each list once.
CREATE TABLE IF NOT EXISTS toolsets (
    hash TEXT PRIMARY KEY,
    tools TEXT NOT NULL  -- JSON
) WITHOUT ROWID;

-- What calls show of the tools of each kind of agent, as the run's first start found it; names and types, no values.
CREATE TABLE IF NOT EXISTS evidence (
    agent TEXT NOT NULL,
    fact TEXT NOT NULL,
    clusters TEXT NOT NULL  -- up to four of those that show it, hashed
);

-- What was read and is not used, with what is known of it.
CREATE TABLE IF NOT EXISTS excluded (
    file TEXT NOT NULL,
    line INTEGER,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    transcript TEXT,
    stratum TEXT,
    weight REAL,
    messages INTEGER,
    calls INTEGER,
    tools INTEGER,
    date TEXT,
    offset INTEGER,  -- where its canonical form stands
    length INTEGER
);

-- Transcripts that were removed from the run: a hash of the id, and when.
CREATE TABLE IF NOT EXISTS purged (
    transcript TEXT PRIMARY KEY,
    purged TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS rollouts (
    prefix TEXT NOT NULL,
    arm TEXT NOT NULL,
    sample INTEGER NOT NULL,
    stop_reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    messages TEXT NOT NULL,  -- JSON
    sources TEXT NOT NULL,   -- JSON, one per tool output
    marks TEXT NOT NULL,     -- JSON, one per tool output: what else is to be known of it, by comma
    steps INTEGER NOT NULL,
    acted INTEGER NOT NULL,
    empty INTEGER NOT NULL,
    PRIMARY KEY (prefix, arm, sample)
);

CREATE TABLE IF NOT EXISTS verdicts (
    prefix TEXT NOT NULL,
    arm TEXT NOT NULL,
    sample INTEGER NOT NULL,
    judge TEXT NOT NULL,
    outcome TEXT NOT NULL,
    findings TEXT NOT NULL,  -- JSON
    opportunity INTEGER,
    evaluation_awareness INTEGER,
    notes TEXT NOT NULL,
    detail TEXT NOT NULL,
    invented TEXT NOT NULL,  -- JSON, one per finding: does it depend on invented content (null: not known); [] if not asked
    PRIMARY KEY (prefix, arm, sample, judge)
);

-- The journal: every answered model call, in the order the answers came. A call that is asked for again is
-- served from here, unless it was retired (its answer was of no use, and the user asked for another try).
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL,
    arm TEXT NOT NULL,
    sample INTEGER NOT NULL,
    role TEXT NOT NULL,
    step INTEGER NOT NULL,
    content TEXT NOT NULL,   -- hash of everything that was asked
    prompt TEXT NOT NULL,    -- JSON: hash of the text of each message
    seed INTEGER,
    raw BLOB NOT NULL,       -- the provider's reply, zstd
    model TEXT NOT NULL,
    fingerprint TEXT,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    usd REAL,
    estimated INTEGER NOT NULL,  -- the provider reported no usage
    seconds REAL NOT NULL,
    retries INTEGER NOT NULL,
    answered REAL NOT NULL,  -- seconds since 1970
    retired INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS requests_of_a_rollout ON requests (prefix, arm, sample);

-- The calls that failed for good, after all retries. They are made again when they are asked for again.
CREATE TABLE IF NOT EXISTS failures (
    prefix TEXT NOT NULL,
    arm TEXT NOT NULL,
    sample INTEGER NOT NULL,
    role TEXT NOT NULL,
    step INTEGER NOT NULL,
    fault TEXT NOT NULL,
    status INTEGER,
    detail TEXT NOT NULL,
    retries INTEGER NOT NULL,
    failed REAL NOT NULL     -- seconds since 1970
);

-- The texts that were sent to simulators and judges, each once.
CREATE TABLE IF NOT EXISTS texts (
    hash TEXT PRIMARY KEY,
    text BLOB NOT NULL  -- JSON of the message, zstd
) WITHOUT ROWID;
