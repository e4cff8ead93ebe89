-- A database as release 0.1 (commit 20746ea) wrote it, with `models_dir=tests/models` and `models=null@1`:
--   index photos                   three pictures are stored; broken.bmp and empty.bmp fail
--   policy apply null@1 …          `red` is renamed to `redness` by policy 2
--   dead purge ID --yes            the failure of empty.bmp is discarded
--   backfill --from-search         ends, with nothing to run
--   submit grey.csv silver.csv     the indexer then puts them into the catalogue; no worker takes them
--   backfill --ids ids.txt         killed after one of two IDs, with backfill_waiting=1
--   submit black.csv               the worker runs it; its result waits for an indexer
--   submit white.csv               waits in both queues
-- Afterwards the folder became /home/user, the IDs of files followed, and times moved back by a year.
BEGIN TRANSACTION;
PRAGMA application_id = 1348562543;
PRAGMA user_version = 4;
CREATE TABLE archive (
    sha256 TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
INSERT INTO "archive" VALUES('4e3ccb4ac096de5ed577fb8481ac4c25246927711e8d291e4982709e525d1d0c',CAST('{"architecture":["null",1],"dtype":"float32","elements":[["red",""],["green",""],["blue",""]],"input":{"height_px":16,"width_px":16},"preprocessing":{"crop":1.0,"resize":"bicubic"},"task":"scoring","weights_sha256":null}' AS BLOB));
INSERT INTO "archive" VALUES('3cfff263d5645273d33a11610b9e1e2325f5ce6a705a3fb2efedfa37f8d59df7',CAST('{"card":{"architecture":"","architecture_revision":1,"changes":"The first version.","engines":{"allowed":["null"],"tolerance":0.001},"golden":[],"input":{"height_px":16,"order":"RGB","scaling":null,"width_px":16},"limits":{"max_ks":null,"max_waiting":null,"min_agreement":null,"min_coverage":null,"min_jaccard":null},"name":"null","needs":{"hardware":"cpu","images_per_s":0.0,"memory_mb":0},"output":{"dtype":"float32","labels":"","names":["red","green","blue"]},"policy":{},"preprocessing":{"crop":1.0,"options":{},"plugin":"","resize":"bicubic"},"summary":"For tests: the mean colour","task":"scoring","unsuitable":"","version":1,"weights":null},"labels":[{"ancestors":[],"label":"red","synset":""},{"ancestors":[],"label":"green","synset":""},{"ancestors":[],"label":"blue","synset":""}]}' AS BLOB));
CREATE TABLE backfills (
    name TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,
    entry TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "backfills" VALUES('null@1-42007775',2,'{"name":"null@1-42007775","serial":2,"model":"null","version":1,"source":"ids.txt","ids_sha256":"420077751964f264afe9f4cb9d4cec7a7ff08afe54fff8b93f0c090fc7575dab","total":2,"state":"running","begun_at_ms":1764529632285,"changed_at_ms":1764529632311,"by":"user@host","runner":"process 1000 of user@host","fed_at_ms":1764529632311,"cursor":1,"after":"grey","submitted":1,"stored":0,"skipped":0,"unknown":0}');
INSERT INTO "backfills" VALUES('null@1-search',3,'{"name":"null@1-search","serial":3,"model":"null","version":1,"source":"search","ids_sha256":"","total":5,"state":"done","begun_at_ms":1764529622741,"changed_at_ms":1764529622777,"by":"user@host","runner":"process 802 of user@host","fed_at_ms":1764529622777,"cursor":5,"after":"file-33851e673333c036b76cc5a6f2b4035d","submitted":0,"stored":3,"skipped":2,"unknown":0}');
CREATE TABLE bindings (
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;
INSERT INTO "bindings" VALUES('null',1);
CREATE TABLE bodies (
    document INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
INSERT INTO "bodies" VALUES(1,CAST('{"image_id":"file-861110d255105c81258207f09fb2a5d0","revision":0,"deleted":false,"occurred_at_ms":1763715600000,"parts":{}}' AS BLOB));
INSERT INTO "bodies" VALUES(2,CAST('{"image_id":"file-33851e673333c036b76cc5a6f2b4035d","revision":0,"deleted":false,"occurred_at_ms":1763715600000,"parts":{}}' AS BLOB));
INSERT INTO "bodies" VALUES(3,CAST('{"image_id":"file-63e3eebbad3490ab6ba220134ce34ad0","revision":0,"deleted":false,"occurred_at_ms":1763715600000,"parts":{"null_1":{"revision":0,"policy_number":2,"tags":[],"scores":{"redness":0.03921568766236305,"green":0.03921568766236305,"blue":0.7843137383460999}}}}' AS BLOB));
INSERT INTO "bodies" VALUES(4,CAST('{"image_id":"file-b1471bfeb68b7b7cd5ac2aca5fc2c43f","revision":0,"deleted":false,"occurred_at_ms":1763715600000,"parts":{"null_1":{"revision":0,"policy_number":2,"tags":[],"scores":{"redness":0.7843137383460999,"green":0.03921568766236305,"blue":0.03921568766236305}}}}' AS BLOB));
INSERT INTO "bodies" VALUES(5,CAST('{"image_id":"file-3344d7d1418b9ad61636f3a59b329ef8","revision":0,"deleted":false,"occurred_at_ms":1763715600000,"parts":{"null_1":{"revision":0,"policy_number":2,"tags":[],"scores":{"redness":0.03921568766236305,"green":0.7843137383460999,"blue":0.03921568766236305}}}}' AS BLOB));
CREATE TABLE catalogue (
    image_id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    image_uri TEXT NOT NULL,
    event TEXT NOT NULL,
    occurred_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "catalogue" VALUES('file-b1471bfeb68b7b7cd5ac2aca5fc2c43f',0,'file:///home/user/photos/red.bmp#size=1254&mtime_ns=1763715600000000000','uploaded',1763715600000);
INSERT INTO "catalogue" VALUES('file-3344d7d1418b9ad61636f3a59b329ef8',0,'file:///home/user/photos/green.bmp#size=1254&mtime_ns=1763715600000000000','uploaded',1763715600000);
INSERT INTO "catalogue" VALUES('file-861110d255105c81258207f09fb2a5d0',0,'file:///home/user/photos/broken.bmp#size=14&mtime_ns=1763715600000000000','uploaded',1763715600000);
INSERT INTO "catalogue" VALUES('file-63e3eebbad3490ab6ba220134ce34ad0',0,'file:///home/user/photos/blue.bmp#size=1254&mtime_ns=1763715600000000000','uploaded',1763715600000);
INSERT INTO "catalogue" VALUES('file-33851e673333c036b76cc5a6f2b4035d',0,'file:///home/user/photos/empty.bmp#size=0&mtime_ns=1763715600000000000','uploaded',1763715600000);
INSERT INTO "catalogue" VALUES('grey',0,'file:///home/user/waiting/grey.bmp','uploaded',1764529624273);
INSERT INTO "catalogue" VALUES('silver',0,'file:///home/user/waiting/silver.bmp','uploaded',1764529624273);
CREATE TABLE documents (
    document INTEGER PRIMARY KEY,
    image_id TEXT NOT NULL UNIQUE,
    deleted INTEGER NOT NULL,
    occurred_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO "documents" VALUES(1,'file-861110d255105c81258207f09fb2a5d0',0,1763715600000);
INSERT INTO "documents" VALUES(2,'file-33851e673333c036b76cc5a6f2b4035d',0,1763715600000);
INSERT INTO "documents" VALUES(3,'file-63e3eebbad3490ab6ba220134ce34ad0',0,1763715600000);
INSERT INTO "documents" VALUES(4,'file-b1471bfeb68b7b7cd5ac2aca5fc2c43f',0,1763715600000);
INSERT INTO "documents" VALUES(5,'file-3344d7d1418b9ad61636f3a59b329ef8',0,1763715600000);
CREATE TABLE failures (
    image_id TEXT NOT NULL,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,
    day TEXT NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (image_id, model, version, revision)
) STRICT;
INSERT INTO "failures" VALUES('file-861110d255105c81258207f09fb2a5d0','null',1,0,'dead','not_an_image','begins with 6e 6f 74 20 61 20 70 69 63 74 75 72',0,1764529596557,'2025-11-30',CAST('{"image_id":"file-861110d255105c81258207f09fb2a5d0","image_uri":"file:///home/user/photos/broken.bmp#size=14&mtime_ns=1763715600000000000","revision":0,"event":"uploaded","occurred_at":"2025-11-21T09:00:00Z","message_id":"f7102addf76c411985188f8a6594048b"}' AS BLOB));
INSERT INTO "failures" VALUES('file-33851e673333c036b76cc5a6f2b4035d','null',1,0,'discarded','empty','0 bytes',0,1764529596557,'2025-11-30',CAST('{"image_id":"file-33851e673333c036b76cc5a6f2b4035d","image_uri":"file:///home/user/photos/empty.bmp#size=0&mtime_ns=1763715600000000000","revision":0,"event":"uploaded","occurred_at":"2025-11-21T09:00:00Z","message_id":"079dad49ec7a4ce1b2911c4b887837b3"}' AS BLOB));
CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    -- 0 while ready; else the end of a lease, or of the wait on a rung.
    available_at_ms INTEGER NOT NULL DEFAULT 0,
    leased INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    -- With `number` it names one handing-over, so that a lapsed holder can be told from the present one.
    deliveries INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
) STRICT;
INSERT INTO "messages" VALUES(21,'panopticon.null.1.live',0,0,0,0,CAST('{"image_id":"grey","image_uri":"file:///home/user/waiting/grey.bmp","revision":0,"event":"uploaded","occurred_at":"2025-11-30T19:07:04.273000Z","message_id":"6e78f0a7c7764d049152b82479099ce7"}' AS BLOB));
INSERT INTO "messages" VALUES(22,'panopticon.null.1.live',0,0,0,0,CAST('{"image_id":"silver","image_uri":"file:///home/user/waiting/silver.bmp","revision":0,"event":"uploaded","occurred_at":"2025-11-30T19:07:04.273000Z","message_id":"7db402b1bd874634b5e15546bb1fec4b"}' AS BLOB));
INSERT INTO "messages" VALUES(23,'panopticon.null.1.backfill',0,0,0,0,CAST('{"image_id":"grey","image_uri":"file:///home/user/waiting/grey.bmp","revision":0,"event":"uploaded","occurred_at":"2025-11-30T19:07:04.273000Z","message_id":"d9e7d008ab694b269d368eeb550b3ef5"}' AS BLOB));
INSERT INTO "messages" VALUES(24,'panopticon.catalogue.live',0,0,0,0,CAST('{"image_id":"black","image_uri":"file:///home/user/waiting/black.bmp","revision":0,"event":"uploaded","occurred_at":"2025-11-30T19:07:19.079000Z","message_id":"113f521cfc414ee3b82e927558aadad7"}' AS BLOB));
INSERT INTO "messages" VALUES(26,'panopticon.results.live',0,0,0,0,CAST('{"schema":1,"image_id":"black","revision":0,"occurred_at":"2025-11-30T19:07:19.079000Z","model":"null","version":1,"kind":"result","policy_number":2,"tags":[],"scores":{"redness":0.0,"green":0.0,"blue":0.0}}' AS BLOB));
INSERT INTO "messages" VALUES(27,'panopticon.catalogue.live',0,0,0,0,CAST('{"image_id":"white","image_uri":"file:///home/user/waiting/white.bmp","revision":0,"event":"uploaded","occurred_at":"2025-11-30T19:07:29.421000Z","message_id":"f4e5d95c65e943338830a81851606c79"}' AS BLOB));
INSERT INTO "messages" VALUES(28,'panopticon.null.1.live',0,0,0,0,CAST('{"image_id":"white","image_uri":"file:///home/user/waiting/white.bmp","revision":0,"event":"uploaded","occurred_at":"2025-11-30T19:07:29.421000Z","message_id":"f4e5d95c65e943338830a81851606c79"}' AS BLOB));
CREATE TABLE outputs (
    image_id TEXT NOT NULL,
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    produced_at_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (image_id, model, version, revision)
) STRICT;
INSERT INTO "outputs" VALUES('file-63e3eebbad3490ab6ba220134ce34ad0','null',1,0,1764529596558,X'89A6766563746F72C40CA1A0203DA1A0203DC9C8483FA56474797065A7666C6F61743332A6646967657374D94034653363636234616330393664653565643537376662383438316163346332353234363932373731316538643239316534393832373039653532356431643063A6656E67696E65A46E756C6CA96C6962726172696573AB6E756D707920322E342E36AD736F757263655F736861323536D94035623065633634373131646139353030636430336139643637396330303733373764363862306164623536306264666633663065396536336461336137663334A877696474685F707814A96865696768745F707814AE70726F64756365645F61745F6D73CF000001A22DDA148E');
INSERT INTO "outputs" VALUES('file-b1471bfeb68b7b7cd5ac2aca5fc2c43f','null',1,0,1764529596558,X'89A6766563746F72C40CC9C8483FA1A0203DA1A0203DA56474797065A7666C6F61743332A6646967657374D94034653363636234616330393664653565643537376662383438316163346332353234363932373731316538643239316534393832373039653532356431643063A6656E67696E65A46E756C6CA96C6962726172696573AB6E756D707920322E342E36AD736F757263655F736861323536D94032383165343037313962316238643436313661333165336137373763653264626466306431396538393064383961623562346261356464636630623765323863A877696474685F707814A96865696768745F707814AE70726F64756365645F61745F6D73CF000001A22DDA148E');
INSERT INTO "outputs" VALUES('file-3344d7d1418b9ad61636f3a59b329ef8','null',1,0,1764529596558,X'89A6766563746F72C40CA1A0203DC9C8483FA1A0203DA56474797065A7666C6F61743332A6646967657374D94034653363636234616330393664653565643537376662383438316163346332353234363932373731316538643239316534393832373039653532356431643063A6656E67696E65A46E756C6CA96C6962726172696573AB6E756D707920322E342E36AD736F757263655F736861323536D94064313334393334303933313536396438653262346430313933383530666463666637363038363831303863623762363332636363643165306231326566343265A877696474685F707814A96865696768745F707814AE70726F64756365645F61745F6D73CF000001A22DDA148E');
INSERT INTO "outputs" VALUES('black','null',1,0,1764529645124,X'89A6766563746F72C40C000000000000000000000000A56474797065A7666C6F61743332A6646967657374D94034653363636234616330393664653565643537376662383438316163346332353234363932373731316538643239316534393832373039653532356431643063A6656E67696E65A46E756C6CA96C6962726172696573AB6E756D707920322E342E36AD736F757263655F736861323536D94033643730363733623530666335396230376136393338366139386333633837636339316162666166393666623862373732333634376537363530623437613263A877696474685F707814A96865696768745F707814AE70726F64756365645F61745F6D73CF000001A22DDAD244');
CREATE TABLE parts (
    document INTEGER NOT NULL,
    part TEXT NOT NULL,
    policy_number INTEGER NOT NULL,
    PRIMARY KEY (document, part)
) STRICT, WITHOUT ROWID;
INSERT INTO "parts" VALUES(3,'null_1',2);
INSERT INTO "parts" VALUES(4,'null_1',2);
INSERT INTO "parts" VALUES(5,'null_1',2);
CREATE TABLE postings (
    document INTEGER NOT NULL,
    term INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (document, term)
) STRICT, WITHOUT ROWID;
INSERT INTO "postings" VALUES(4,2,3.92156876623630523681e-02);
INSERT INTO "postings" VALUES(5,2,3.92156876623630523681e-02);
INSERT INTO "postings" VALUES(3,2,7.84313738346099853515e-01);
INSERT INTO "postings" VALUES(3,3,3.92156876623630523681e-02);
INSERT INTO "postings" VALUES(4,3,3.92156876623630523681e-02);
INSERT INTO "postings" VALUES(5,3,7.84313738346099853515e-01);
INSERT INTO "postings" VALUES(3,4,3.92156876623630523681e-02);
INSERT INTO "postings" VALUES(5,4,3.92156876623630523681e-02);
INSERT INTO "postings" VALUES(4,4,7.84313738346099853515e-01);
CREATE TABLE registry (
    model TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,
    entry TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "registry" VALUES('null',2,'{"model":"null","serial":2,"task":"scoring","active_version":1,"versions":[{"version":1,"digest":"4e3ccb4ac096de5ed577fb8481ac4c25246927711e8d291e4982709e525d1d0c","state":"active","labels":["red","green","blue"],"policy_toml":"[renamed]\nred = \"redness\"\n","policy_number":2,"policies":[{"number":1,"toml":"","at_ms":1764529592949,"by":"user@host","reason":"registered"},{"number":2,"toml":"[renamed]\nred = \"redness\"\n","at_ms":1764529600822,"by":"user@host","reason":"a better name"}],"card_sha256":"3cfff263d5645273d33a11610b9e1e2325f5ce6a705a3fb2efedfa37f8d59df7"}],"history":[{"at_ms":1764529592949,"by":"user@host","what":"registered null@1","reason":""},{"at_ms":1764529600822,"by":"user@host","what":"policy 2 of null@1","reason":"a better name"}],"former_version":null,"reports":[]}');
CREATE TABLE terms (
    term INTEGER PRIMARY KEY,
    part TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name, part)
) STRICT;
INSERT INTO "terms" VALUES(1,'null_1','score','red');
INSERT INTO "terms" VALUES(2,'null_1','score','blue');
INSERT INTO "terms" VALUES(3,'null_1','score','green');
INSERT INTO "terms" VALUES(4,'null_1','score','redness');
CREATE INDEX failures_by_day ON failures (model, version, day, state, last_at_ms, image_id, revision);
CREATE INDEX documents_by_time ON documents (occurred_at_ms DESC, image_id) WHERE deleted = 0;
CREATE INDEX postings_by_term ON postings (term, value, document);
CREATE INDEX messages_ready ON messages (queue, number) WHERE available_at_ms = 0;
CREATE INDEX messages_waiting ON messages (queue, available_at_ms, leased) WHERE available_at_ms > 0;
CREATE INDEX parts_by_policy ON parts (part, policy_number, document);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('messages',28);
COMMIT;
