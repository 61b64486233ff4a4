BEGIN TRANSACTION;
CREATE TABLE answers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, system TEXT NOT NULL, example_id TEXT NOT NULL, repetition INTEGER NOT NULL,
    
    outcome TEXT NOT NULL, text TEXT NOT NULL, started_at TEXT NOT NULL, latency_s REAL NOT NULL,
    message TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL,
    deployment TEXT, deployment_model TEXT, fallbacks INTEGER, gateway_retries INTEGER, tries INTEGER NOT NULL,
    trace_id TEXT, span_id TEXT, UNIQUE (system, example_id, repetition)) STRICT;
INSERT INTO "answers" VALUES(1,'qa','numbers-1',1,'answered','item-1','2026-11-27T10:49:40.983427+00:00',6.48802199998499418143e-02,'',40,2,0.0005,'deployment-1',NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "answers" VALUES(2,'qa','numbers-2',1,'gateway_error','','2026-11-27T10:49:40.983742+00:00',6.52464340000733500346e-02,'it failed',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "answers" VALUES(3,'qa','numbers-0',1,'answered','item-0','2026-11-27T10:49:40.982674+00:00',6.65887899999688670504e-02,'',40,2,0.0005,'deployment-1',NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "answers" VALUES(4,'qa','numbers-3',1,'answered','item-3','2026-11-27T10:49:40.987684+00:00',6.18146169999818084761e-02,'',40,2,0.0005,'deployment-1',NULL,NULL,NULL,1,NULL,NULL);
CREATE TABLE examples (id TEXT PRIMARY KEY, position INTEGER NOT NULL, content TEXT NOT NULL) STRICT;
INSERT INTO "examples" VALUES('numbers-0',0,'{"id": "numbers-0", "question": "What is number 0?", "context": "Number 0 is item-0.", "references": ["item-0"], "group": "Article 0", "metadata": {"source": "test", "difficulty": "easy"}}');
INSERT INTO "examples" VALUES('numbers-1',1,'{"id": "numbers-1", "question": "What is number 1?", "context": "Number 1 is item-1.", "references": ["item-1"], "group": "Article 1", "metadata": {"source": "test", "difficulty": "easy"}}');
INSERT INTO "examples" VALUES('numbers-2',2,'{"id": "numbers-2", "question": "What is number 2?", "context": "Number 2 is item-2.", "references": ["item-2"], "group": "Article 2", "metadata": {"source": "test", "difficulty": "easy"}}');
INSERT INTO "examples" VALUES('numbers-3',3,'{"id": "numbers-3", "question": "What is number 3?", "context": "Number 3 is item-3.", "references": ["item-3"], "group": "Article 3", "metadata": {"source": "test", "difficulty": "easy"}}');
CREATE TABLE judge_calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, metric TEXT NOT NULL, model TEXT NOT NULL,
    system TEXT, parent_span_id TEXT, failure TEXT, 
    outcome TEXT NOT NULL, text TEXT NOT NULL, started_at TEXT NOT NULL, latency_s REAL NOT NULL,
    message TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL,
    deployment TEXT, deployment_model TEXT, fallbacks INTEGER, gateway_retries INTEGER, tries INTEGER NOT NULL,
    trace_id TEXT, span_id TEXT
) STRICT;
INSERT INTO "judge_calls" VALUES(1,'36907c49a3ed28aff3cbfcd59fcc565d86d4bbfb1a3481bfcd9b41a651bde88d','correctness','other','qa',NULL,NULL,'answered','{"explanation": "It says so.", "label": "right"}','2026-11-27T10:49:41.172568+00:00',4.87811699986195890232e-03,'',40,2,0.0005,'deployment-1',NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "judge_calls" VALUES(2,'fa46abb520b5c0927523477eea390ef63027330e89325742cfc887329091f3f4','correctness','other','qa',NULL,NULL,'answered','{"explanation": "It says so.", "label": "right"}','2026-11-27T10:49:41.171744+00:00',6.98237599999629310332e-03,'',40,2,0.0005,'deployment-1',NULL,NULL,NULL,1,NULL,NULL);
INSERT INTO "judge_calls" VALUES(3,'c9edd91b3d02e298f0f051ff35b18dd32efa26640128af36d7224a40b5d3cb23','correctness','other','qa',NULL,NULL,'answered','{"explanation": "It says so.", "label": "right"}','2026-11-27T10:49:41.171336+00:00',8.26230499978919397108e-03,'',40,2,0.0005,'deployment-1',NULL,NULL,NULL,1,NULL,NULL);
CREATE TABLE labels (
    answer INTEGER NOT NULL, metric TEXT NOT NULL, label TEXT NOT NULL, annotator TEXT NOT NULL,
    PRIMARY KEY (answer, metric, annotator)
) STRICT, WITHOUT ROWID;
CREATE TABLE recorded (answer INTEGER PRIMARY KEY, phoenix_run_id TEXT NOT NULL) STRICT;
CREATE TABLE retried (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, system TEXT NOT NULL, example_id TEXT NOT NULL, repetition INTEGER NOT NULL,
    
    outcome TEXT NOT NULL, text TEXT NOT NULL, started_at TEXT NOT NULL, latency_s REAL NOT NULL,
    message TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL,
    deployment TEXT, deployment_model TEXT, fallbacks INTEGER, gateway_retries INTEGER, tries INTEGER NOT NULL,
    trace_id TEXT, span_id TEXT) STRICT;
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "run" VALUES('format','4');
INSERT INTO "run" VALUES('metadata','{"run_id": "20261127-104939-659c87", "dataset": {"name": "numbers", "version": "1.1", "description": "", "fingerprint": "0e775585463bacbe0be595407054a7893ec3f55fb8830d33eca6041bde2a9c9b", "named": false, "phoenix_id": null, "phoenix_version": null, "node_ids": {}}, "folder": "/", "commit": null, "embedder": "all-MiniLM-L6-v2/onnx-int8@8199be6f", "spec": {"name": "before-streams", "dataset": {"path": "sample", "name": "numbers"}, "systems": [{"name": "qa", "model": "qa", "prompt": {"messages": [{"role": "user", "content": "{context}\n\nQuestion: {question}\n\nAnswer:"}]}, "parameters": {"temperature": 0.0, "max_tokens": 32}, "via": "gateway"}], "metrics": [{"name": "exact_match"}, {"name": "f1"}, {"name": "semantic_similarity"}, {"name": "correctness", "judge": "correctness"}], "judges": {"model": "other", "planted": 0}, "limits": {"errors": 1.0}, "recording": {"phoenix": false}, "servers": {"gateway": "http://127.0.0.1:45807"}}}');
INSERT INTO "run" VALUES('end','{"stopped": null, "unrecorded_reason": null, "wall_s": 0.08592691400008334}');
CREATE TABLE scored (answer INTEGER PRIMARY KEY) STRICT;
INSERT INTO "scored" VALUES(1);
INSERT INTO "scored" VALUES(2);
INSERT INTO "scored" VALUES(3);
INSERT INTO "scored" VALUES(4);
CREATE TABLE scores (
    answer INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,
    value REAL, label TEXT, explanation TEXT, error TEXT, PRIMARY KEY (answer, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "scores" VALUES(1,3,'correctness',1.0,'right','It says so.',NULL);
INSERT INTO "scores" VALUES(1,0,'exact_match',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(1,1,'f1',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(1,2,'semantic_similarity',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(2,3,'correctness',0.0,'gateway_error','it failed',NULL);
INSERT INTO "scores" VALUES(2,0,'exact_match',0.0,'gateway_error','it failed',NULL);
INSERT INTO "scores" VALUES(2,1,'f1',0.0,'gateway_error','it failed',NULL);
INSERT INTO "scores" VALUES(2,2,'semantic_similarity',0.0,'gateway_error','it failed',NULL);
INSERT INTO "scores" VALUES(3,3,'correctness',1.0,'right','It says so.',NULL);
INSERT INTO "scores" VALUES(3,0,'exact_match',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(3,1,'f1',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(3,2,'semantic_similarity',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(4,3,'correctness',1.0,'right','It says so.',NULL);
INSERT INTO "scores" VALUES(4,0,'exact_match',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(4,1,'f1',1.0,NULL,NULL,NULL);
INSERT INTO "scores" VALUES(4,2,'semantic_similarity',1.0,NULL,NULL,NULL);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('answers',4);
INSERT INTO "sqlite_sequence" VALUES('judge_calls',3);
COMMIT;
