//! The words of `weituo-verify` in both languages.

use weituo_proof::{Both, Language};

/// Returns the language asked for, or else the environment's; Chinese where nothing says otherwise.
pub(crate) fn language(asked: Option<&str>) -> Language {
    let environment = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty())
    };
    match asked.map(str::to_owned).or_else(environment).as_deref() {
        None => Language::Zh,
        Some(locale) if ["zh", "C", "POSIX"].iter().any(|chinese| locale.starts_with(chinese)) => {
            Language::Zh
        }
        Some(_) => Language::En,
    }
}

pub(crate) const HELP: Both = Both::new(
    "核验存证卷宗(.json 或 .html),无需数据库与网络\n\n\
     用法: weituo-verify 文件 --key 公钥 [--key 公钥]… [--policy 文件] [--auditor 公钥]… [--checkpoint 文件]… [--receipt 文件]… [--json] [--lang zh|en]\n\n\
     \x20 --key 公钥        台账的核验公钥,或存有它的文件;请经其他渠道取得,绝不取自卷宗\n\
     \x20 --auditor 公钥    复算过全部记录与索引的审计方的公钥\n\
     \x20 --policy 文件     信任策略(C2SP tlog-policy):台账、见证方与所需的附署数\n\
     \x20 --checkpoint 文件 他人保存的检查点,或审计方附署的同一检查点\n\
     \x20 --receipt 文件    他人保存的存证回执(内含存证记录),或较早的卷宗\n\
     \x20 --json            输出 JSON\n\
     \x20 --lang 语言       zh 或 en;默认取自 LANG\n\n\
     退出码: 0 核验通过;1 有核验异常;2 无法核验",
    "Verifies a dossier (.json or .html), without database and network\n\n\
     usage: weituo-verify FILE --key KEY [--key KEY]… [--policy FILE] [--auditor KEY]… [--checkpoint FILE]… [--receipt FILE]… [--json] [--lang zh|en]\n\n\
     \x20 --key KEY         the log's verifier key, or the file that holds it; obtained elsewhere, never from the dossier\n\
     \x20 --auditor KEY     key of an auditor who replayed every entry and every index root\n\
     \x20 --policy FILE     trust policy (C2SP tlog-policy): logs, witnesses and how many must have cosigned\n\
     \x20 --checkpoint FILE a checkpoint that somebody kept, or the same one as an auditor has cosigned it\n\
     \x20 --receipt FILE    a receipt that somebody kept, with its entry in it, or an earlier dossier\n\
     \x20 --json            prints JSON\n\
     \x20 --lang LANG       zh or en; else by LANG\n\n\
     exit codes: 0 all yes; 1 findings; 2 could not check",
);
pub(crate) const NO_FILE: Both = Both::new("请给出卷宗文件;见 --help", "name the dossier's file; see --help");
pub(crate) const NO_DOSSIER: Both = Both::new("页面中没有卷宗", "the page contains no dossier");
pub(crate) const BAD_KEY: Both =
    Both::new("既不是核验公钥,也不是存有它的文件", "neither a verifier key nor a file that holds one");
pub(crate) const BAD_LANGUAGE: Both = Both::new("--lang 只能是 zh 或 en", "--lang is zh or en");
pub(crate) const BAD_POLICY: Both = Both::new("信任策略无法使用", "the trust policy cannot be used");
pub(crate) const UNREADABLE: Both = Both::new("无法读取", "cannot be read");
pub(crate) const INTACT: Both = Both::new(
    "核验通过:未改动(intact)",
    "intact: nothing acknowledged was altered, removed, reordered or inserted",
);
pub(crate) const COMPLETE: Both =
    Both::new("核验通过:无遗漏(complete)", "complete: nothing of it is left out");
pub(crate) const AGE: Both = Both::new(
    "核验通过:检查点已由策略所列见证方附署,或与他人保存的相同(age)",
    "age: the checkpoint is cosigned by the policy's witnesses, or is one that somebody kept",
);
pub(crate) const NOT_INTACT: Both = Both::new("核验异常", "NOT intact");
pub(crate) const NOT_COMPLETE: Both = Both::new("有遗漏或索引有误", "NOT complete");
pub(crate) const NOT_AGE: Both = Both::new("附署或他人保存的检查点不符", "age is NOT proven");
pub(crate) const UNCHECKED_INTACT: Both =
    Both::new("无法核验是否未改动", "could not check whether it is intact");
pub(crate) const UNCHECKED_COMPLETE: Both =
    Both::new("无法核验有无遗漏", "could not check whether it is complete");
pub(crate) const UNCHECKED_AGE: Both = Both::new("无法核验时间(age)", "could not check its age");
pub(crate) const BY_OPERATOR: Both = Both::new(
    "依据台账运营方的索引,所列各方均未复算",
    "by the operator's index, replayed by nobody you named",
);
pub(crate) const BY_AUDITOR: Both = Both::new("索引已由其复算:", "the index was replayed by ");
pub(crate) const FINDINGS: Both = Both::new("共 ", "findings: ");
pub(crate) const EXPECTED: Both = Both::new("应为", "expected");
pub(crate) const FOUND: Both = Both::new("现为", "found");
pub(crate) const LEAF: Both = Both::new("序号", "leaf");
pub(crate) const ERASED: Both = Both::new("已擦除,依据:", "erased, on the grounds of: ");
pub(crate) const CHECKED: Both = Both::new("已核验", "checked");
pub(crate) const ENTRIES: Both = Both::new("条存证记录", "entries");
pub(crate) const STREAMS: Both = Both::new("个完整的流", "whole streams");
pub(crate) const PARTIES: Both = Both::new("个机构的全部轮次", "organisations' cycles");
pub(crate) const DISCLOSURES: Both = Both::new("个披露值", "disclosures");
pub(crate) const SIGNATURES: Both = Both::new("个签名", "signatures");
pub(crate) const COMMA: Both = Both::new("、", ", ");
pub(crate) const NO_STATE: Both = Both::new(
    "不显示状态:它所依据的记录未得到证明",
    "no state is shown: the entries that it rests on are not proven",
);
pub(crate) const STATE: Both = Both::new("由存证记录推算的状态,截至", "state folded from the entries, as of");
pub(crate) const OF_LOG: Both = Both::new("台账", "log");
