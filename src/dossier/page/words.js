// Words: what the page says itself, in Chinese and English, and how dates, money and scores are written.
//
// Absent: names of acts, roles, grades and findings, which are those of the command line (`given`, from page.rs).
// Source: the words on the screen are those that the officers use.
const words = (() => {
  "use strict";

  let language = "zh";

  const TEXTS = {
    kind: ["存证卷宗", "Dossier"],
    agreement: ["委托轮次", "Entrustment cycle"],
    trustee: ["受托单位", "Trustee"],
    school: ["托管学校", "Entrusted school"],
    made: ["制作于 {0};状态截至 {1}", "Made {0}; state as of {1}"],
    switch: ["English", "中文"],
    saveJson: ["保存卷宗数据(.json)", "Save the data (.json)"],
    print: ["打印", "Print"],
    intact: ["是否改动", "Was anything altered?"],
    complete: ["有无遗漏", "Was anything left out?"],
    "intact-yes": ["核验通过:未改动", "Verified: not altered"],
    "complete-yes": ["核验通过:无遗漏", "Verified: nothing left out"],
    "intact-no": ["核验异常", "Findings"],
    "complete-no": ["核验异常", "Findings"],
    "intact-could-not-check": ["无法核验", "Could not check"],
    "complete-could-not-check": ["无法核验", "Could not check"],
    "intact-yes-why": ["卷宗中的每条存证记录都在您信任的密钥所签的检查点之内,逐字未变。", "Every entry here stands, letter for letter, in the checkpoint that the key you trust has signed."],
    "complete-yes-why": ["截至该检查点,没有遗漏的存证记录。以运营方的索引为据;没有您指定的审计方复算过该索引。", "Up to this checkpoint no entry is missing, by the operator's index, which nobody you named has replayed."],
    "no-why": ["{0} 项,见下。", "{0} in all, listed below."],
    checking: ["正在核验…", "Verifying…"],
    caution: ["本页能发现数据被改动;但发送网页的人也控制着网页里的程序,请以您从别处取得的核验程序为准。", "This page detects altered data; whoever sends a page controls its script, so trust a verifier you obtained elsewhere."],
    findings: ["核验异常", "Findings"],
    findingsNote: ["异常由机器发现,由人认定;以下不是对任何人的指控。", "A machine finds, people decide: none of this accuses anyone."],
    where: ["第 {0} 条存证记录(台账序号)", "entry at leaf index {0}"],
    expected: ["应为", "expected"],
    found: ["实为", "found"],
    keyLabel: ["台账的核验公钥,或其指纹", "The log's verifier key, or its fingerprint"],
    keyNote: ["请粘贴您从别处(公报、公证书、主管部门网站等)得到的密钥,每行一个。它只留在本页的地址栏里;卷宗自带的密钥一律不予信任。", "Paste the key that you have from elsewhere (a gazette, a notarial deed, the authority's website), one a line. It stays in this page's address only; keys that the dossier itself carries are never trusted."],
    receiptLabel: ["存证回执(可选)", "Receipts (optional)"],
    receiptNote: ["您留存的存证回执能证明它所证的存证记录没有被遗漏或改写。粘贴一份,或选择文件。", "A receipt that you kept shows whether its entry was left out or rewritten. Paste one, or choose files."],
    receiptFiles: ["选择回执文件", "Choose receipt files"],
    verify: ["核验", "Verify"],
    state: ["所述状态", "State, as stated"],
    stateNote: ["以下是卷宗所述的状态,本页没有由存证记录重新推算;核验程序 weituo-verify 会推算。", "This is the state that the dossier states; this page did not recompute it from the entries, as the verifier weituo-verify does."],
    stateUnreadable: ["卷宗所述的状态无法读出。", "The stated state cannot be read."],
    status: ["状态", "State"],
    lead: ["牵头校", "Lead school"],
    members: ["成员校", "Members"],
    round: ["轮次", "Round"],
    roundN: ["第 {0} 轮", "round {0}"],
    term: ["期限", "Term"],
    rulebook: ["规则依据", "Rulebook"],
    bureau: ["主管部门", "Bureau"],
    evaluation: ["委托办学绩效评估", "End-of-term evaluation"],
    gain: ["学校提升", "school's gain"],
    effort: ["受托单位投入", "trustee's effort"],
    satisfaction: ["满意度", "satisfaction"],
    fee: ["费用", "Fee"],
    money: ["资金", "Money"],
    budgeted: ["列入预算", "budgeted"],
    paid: ["已拨付", "paid"],
    settled: ["已结算", "settled"],
    recovered: ["已追回", "recovered"],
    goals: ["年度目标与结果", "Goals and results"],
    years: ["分年评估与年度督导", "Yearly assessment and supervision"],
    duties: ["待办台账", "Duties"],
    dutiesNone: ["没有未办或逾期的事项({0} 项已办)。", "Nothing is due or late ({0} done)."],
    irregularities: ["疑点(由规则依据判断;机器提示,由人认定)", "Irregularities (as the rulebook sees them; people decide)"],
    none: ["无", "none"],
    year: ["年度", "Year"],
    yearN: ["第 {0} 年度", "year {0}"],
    goal: ["目标", "Goal"],
    target: ["目标值", "Target"],
    result: ["结果", "Result"],
    met: ["达成", "Met"],
    yes: ["是", "yes"],
    no: ["否", "no"],
    assessment: ["分年评估", "Assessment"],
    supervision: ["年度督导及考核", "Supervision"],
    score: ["得分", "Score"],
    grade: ["等级", "Grade"],
    duty: ["应办事项", "Duty"],
    window: ["办理期限", "Due"],
    standing: ["办理情况", "Standing"],
    severity: ["程度", "Weight"],
    irregularity: ["疑点", "Irregularity"],
    cycles: ["委托轮次", "Cycles"],
    cycle: ["协议", "Agreement"],
    cyclesSum: ["共 {0} 轮;中止 {1} 轮;绩效评估:{2}", "{0} cycles; {1} terminated; evaluations: {2}"],
    history: ["经过", "Course"],
    historyNote: ["由核验通过的存证记录列出,共 {0} 条。发生日期与存证时间是两回事,从不合并。", "Listed from the {0} entries that passed. When an act took place and when it was recorded are two things, never merged."],
    historyNoKey: ["以下存证记录与检查点相符,但检查点由谁签署尚未核验。", "These entries agree with the checkpoint; who signed the checkpoint has not been verified."],
    registry: ["登记、规则依据与台账本身", "Registry, rulebooks and the ledger itself"],
    number: ["序号", "No."],
    effective: ["发生日期", "Took place"],
    act: ["事项", "Act"],
    who: ["记录方", "Recorded by"],
    what: ["内容", "Content"],
    recorded: ["存证时间", "Recorded"],
    asFound: ["据纸质材料补录", "as found on paper"],
    document: ["文号", "document"],
    by: ["经办", "by"],
    amount: ["金额", "amount"],
    activity: ["活动", "activity"],
    response: ["答复", "response"],
    outcome: ["复核结论", "outcome"],
    name: ["名称", "name"],
    correctedBy: ["已由第 {0} 条更正", "corrected by no. {0}"],
    corrects: ["更正第 {0} 条", "corrects no. {0}"],
    refers: ["针对第 {0} 条", "on no. {0}"],
    signedBy: ["签名密钥 {0}", "signed by key {0}"],
    erased: ["{0}:已于 {1} 删除,依据:{2}", "{0}: erased on {1}, on the grounds of {2}"],
    sealedMissing: ["{0}:密封内容不在卷宗中", "{0}: sealed, and not in this dossier"],
    raw: ["原文", "exact text"],
    leafHash: ["叶哈希", "leaf hash"],
    stream: ["序列", "Stream"],
    evidence: ["佐证", "Evidence"],
    evidenceNote: ["文件本身不在卷宗内;取得文件后,请比对其 SHA-256。", "The files are not in the dossier; compare the SHA-256 of a file that you are given."],
    title: ["名称", "Title"],
    type: ["类型", "Type"],
    size: ["字节", "Bytes"],
    entryOf: ["存证记录", "Entry"],
    checks: ["核验了什么", "What was checked"],
    check: ["核验项", "Check"],
    scope: ["范围", "Scope"],
    passed: ["通过", "passed"],
    failed: ["异常", "findings"],
    notDone: ["未核验", "not checked"],
    notGiven: ["未提供", "none given"],
    openTitle: ["没有核验什么", "What was not checked"],
    checkpoint: ["检查点(签名快照)", "Checkpoint"],
    origin: ["台账", "Log"],
    treeSize: ["存证记录条数", "Entries in the log"],
    root: ["根哈希", "Root hash"],
    signatureLines: ["签名行(名称 + 密钥标识)", "Signature lines (name + key id)"],
    trustedKeys: ["您给出的密钥", "Keys that you gave"],
    statedKeys: ["台账自述的密钥", "Keys that the log states"],
    statedKeysNote: ["只供比对,不予信任。指纹是密钥整行文字的 SHA-256。", "To compare only, not trusted. The fingerprint is the SHA-256 of the key's whole line."],
    fingerprint: ["指纹", "fingerprint"],
    timestamps: ["可信时间戳", "Timestamps"],
    timestampsNote: ["先保存检查点正文和时间戳,再用时间戳机构的证书核验:", "Save the checkpoint's text and the timestamp, then verify with the authority's certificate:"],
    saveNote: ["保存检查点正文", "Save the checkpoint's text"],
    saveToken: ["保存时间戳 {0}", "Save timestamp {0}"],
    foot: ["本页不访问网络。格式见 docs/format.md 第 10 节。", "This page reaches no network. Its format is docs/format.md, section 10."],
    unknownSubject: ["无法读出的卷宗", "A dossier that cannot be read"],
    joiner: [";", "; "],
    colon: [":", ": "],
  };

  /** Reasons why something could not be checked. */
  const REASONS = {
    "key-unknown": ["检查点并非由您给出的任何一把密钥签署,因此不知道由谁签署。", "None of the keys that you gave has signed the checkpoint, so who signed it is not known."],
    "no-key": ["没有给出台账的核验公钥,因此不知道检查点由谁签署。", "No verifier key of the log was given, so who signed the checkpoint is not known."],
    "key-unreadable": ["给出的某一行不是核验公钥,也不是卷宗中某个密钥的指纹。", "A line given is neither a verifier key nor the fingerprint of a key in the dossier."],
    "format-unknown": ["卷宗的格式比本页新。", "The dossier is of a format that this page does not know."],
    "intact-not-established": ["无遗漏以未改动为前提,而后者没有成立。", "That nothing is left out rests on nothing being altered, which was not established."],
    "signer-not-proven": ["{0} 的登记序列不在卷宗证明之列,其签名无法核验。", "The registry of {0} is not among what is proven here, so its signature could not be checked."],
    "receipt-not-valid": ["一份存证回执在给出的密钥下不成立,未予采用。", "A receipt is not valid under the keys given and was not used."],
    "no-webcrypto": ["浏览器没有提供 WebCrypto(请从磁盘打开本页,或换用较新的浏览器)。", "The browser has no WebCrypto here: open the page from disk, or in a current browser."],
  };

  /** What this page never checks. */
  const NEVER = [
    ["所述状态是否由存证记录推算得出,各条内容是否合乎其事项的写法:请用 weituo-verify。", "Whether the stated state follows from the entries, and whether each content is of its act's form: use weituo-verify."],
    ["检查点之后的存证记录;检查点早晚是否合适,由您判断。", "Entries after the checkpoint; whether it is recent enough is for you to judge."],
    ["见证方与审计方的联署:本页只列出签名行。", "Cosignatures of witnesses and auditors: this page only lists the signature lines."],
    ["佐证文件本身,以及所记事项在现实中是否属实。", "The evidence files themselves, and whether what was recorded is true in the world."],
  ];

  const FIELDS = {
    note: ["说明", "note"], title: ["名称", "title"], text: ["内容", "text"], person: ["人员", "person"], grounds: ["理由", "grounds"],
    payload: ["全文", "whole content"], sha256_sealed: ["佐证摘要", "document's hash"], legal_representative: ["法定代表人", "legal representative"],
  };

  const CODES = {
    guidance: ["跟踪指导"], secondment_start: ["派驻开始"], secondment_end: ["派驻结束"], leadership_appointed: ["组建班子"],
    shadowing: ["跟岗学习"], support: ["多元扶持"], meeting: ["例会"], exchange: ["教师交流"], open_class: ["公开课"],
    joint_research: ["联合教研"], contest: ["教学竞赛"], cultural_exchange: ["文化交流"], outreach: ["送教下乡"],
    agreed: ["认可"], disputed: ["有异议"], upheld: ["成立"], partly_upheld: ["部分成立"], dismissed: ["不成立"],
    poor_work: ["工作不力"], breach: ["违约"], mutual_consent: ["协商一致"], party_closed: ["机构撤并"], other: ["其他"],
    note: ["提示"], flag: ["提示"], refuse: ["违反"], minor: ["一般"], major: ["严重"], points: ["分"], percent: ["%"],
    public_school: ["公办学校"], private_school: ["民办学校"], kindergarten: ["幼儿园"], bureau: ["教育行政部门"], superior_authority: ["上级主管部门"],
    inspectorate: ["教育督导机构"], board: ["学校董(理)事会"], institution: ["专业机构"], university: ["高校或科研机构"],
    persons: ["人"], cases: ["件"], times: ["次"],
  };

  const pick = (pair) => (language === "zh" ? pair[0] : pair[1]);

  const put = (text, values) => text.replace(/\{(\d)\}/g, (_, at) => String(values[at]));

  /** Returns a text of the page with values in it. */
  const say = (key, ...values) => put(pick(TEXTS[key]), values);

  const known = (list, code) => (Object.hasOwn(list, code) ? pick(list[code]) : String(code));

  const field = (name) => (Object.hasOwn(FIELDS, name) ? pick(FIELDS[name]) : String(name).replaceAll("_", " "));

  function code(value) {
    if (language === "zh" && Object.hasOwn(CODES, value)) return CODES[value][0];
    return value === "percent" ? "%" : String(value).replaceAll("_", " ");
  }

  /** Returns a date with the precision that it has. */
  function date(text) {
    const parts = /^(?:SY(\d{4})|(\d{4})-(\d\d)(?:-(\d\d))?)$/.exec(text ?? "");
    if (parts === null || language !== "zh") return String(text ?? "").replace(/^SY(\d{4})$/, "school year $1");
    if (parts[1]) return `${parts[1]} 学年`;
    return `${parts[2]}年${Number(parts[3])}月${parts[4] ? `${Number(parts[4])}日` : ""}`;
  }

  /** Returns an instant in the log's zone, to the second. */
  function instant(text, zone) {
    const parts = /^([+-])(\d\d):(\d\d)$/.exec(zone);
    const minutes = parts === null ? 0 : (parts[1] === "-" ? -1 : 1) * (Number(parts[2]) * 60 + Number(parts[3]));
    const shifted = new Date(Date.parse(text) + minutes * 60_000);
    return Number.isNaN(shifted.getTime()) ? String(text) : shifted.toISOString().slice(0, 19).replace("T", " ");
  }

  const isNumber = (value) => typeof value === "number";

  /** Returns hundredths as a decimal number. */
  const centi = (value) => (isNumber(value) ? String(value / 100) : "");

  /** Returns an amount in fen: in 万元 on a Chinese page, in yuan on an English one. */
  function fen(value) {
    if (!isNumber(value)) return "";
    return language === "zh" ? `${value / 1_000_000} 万元` : `CNY ${(value / 100).toLocaleString("en")}`;
  }

  const grade = (value) => (value ? known(given.grades, value) : "");

  return {
    get language() { return language; },
    set language(value) { language = value === "en" ? "en" : "zh"; },
    say, known, field, code, date, instant, centi, fen, grade, pick, put, REASONS, NEVER,
    act: (type) => known(given.acts, type),
    role: (role) => known(given.roles, role),
    meaning: (kind) => known(given.findings, kind),
  };
})();
