//! Errors in Chinese: what happened and what to do next, for the errors a user meets.
//!
//! Each error's English is its own `Display`. Absent: errors of entries, notes and payloads (`weituo_events::told`); the drivers'
//! and the operating system's texts, which stay as they are; errors that only a defect can cause.

use std::error::Error;
use std::sync::Arc;

use cqrs_es::persist::PersistenceError;
use weituo_proof::{Both, EntryError, Language};

use crate::dossier::DossierError;
use crate::follower::FollowError;
use crate::ledger::{ClockError, LedgerError, LogKeyError, ReadOnly, SubmitError, absent};
use crate::mirror::{MirrorError, SourceError};
use crate::recorder::{ReadError, RecordError};
use crate::stamp::{StampError, Unusable};
use crate::store::{LedgerUrlError, StoreError};
use crate::witness::StateError;
use crate::witness::client::ClientError;

/// Returns an error and its sources in both languages, separated by colons.
pub(crate) fn in_both(error: &(dyn Error + 'static)) -> Both {
    let (zh, en) = texts(error);
    Both::of(zh, en)
}

/// The same as two texts, Chinese first, for a longer sentence.
pub(crate) fn texts(error: &(dyn Error + 'static)) -> (String, String) {
    (chain_zh(error), weituo_verifier::chain(error))
}

/// Returns an error and its sources in Chinese, separated by colons.
pub(crate) fn chain_zh(error: &(dyn Error + 'static)) -> String {
    let mut parts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        parts.push(zh(error));
        next = error.source();
    }
    parts.join(":")
}

/// A cause in both languages, where it has to be an `io::Error`'s.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.en())]
pub(crate) struct Told(pub(crate) Both);

fn told(error: &std::io::Error) -> Option<String> {
    let Told(what) = error.get_ref()?.downcast_ref()?;
    Some(what.get(Language::Zh).to_owned())
}

fn zh(error: &(dyn Error + 'static)) -> String {
    let translated = error
        .downcast_ref()
        .map(ledger)
        .or_else(|| error.downcast_ref().and_then(told))
        // A source that is shared is not downcast to what it shares.
        .or_else(|| error.downcast_ref().map(|shared: &Arc<LedgerError>| ledger(shared)))
        .or_else(|| error.downcast_ref().map(read_only))
        .or_else(|| error.downcast_ref().map(submit))
        .or_else(|| error.downcast_ref().map(clock))
        .or_else(|| error.downcast_ref().map(store))
        .or_else(|| error.downcast_ref().map(follow))
        .or_else(|| error.downcast_ref().map(record))
        .or_else(|| error.downcast_ref().map(read))
        .or_else(|| error.downcast_ref().and_then(events))
        .or_else(|| error.downcast_ref().map(dossier))
        .or_else(|| error.downcast_ref().map(mirror))
        .or_else(|| error.downcast_ref().map(source))
        .or_else(|| {
            error.downcast_ref().and_then(|shared: &Arc<EntryError>| weituo_events::told::zh(&**shared))
        })
        .or_else(|| weituo_events::told::zh(error))
        .or_else(|| error.downcast_ref().map(witness_state))
        .or_else(|| error.downcast_ref().map(witness_client))
        .or_else(|| error.downcast_ref().map(stamp))
        .or_else(|| error.downcast_ref().map(stamp_answer))
        .or_else(|| error.downcast_ref().map(ledger_url));
    translated.unwrap_or_else(|| error.to_string())
}

fn ledger_url(error: &LedgerUrlError) -> String {
    let given = error.given();
    format!("{given:?} 不是台账地址:应为 sqlite://路径 或 postgres://用户@主机/数据库")
}

fn ledger(error: &LedgerError) -> String {
    match error {
        LedgerError::Store(_) => "数据库出错".to_owned(),
        LedgerError::Anchor { path, .. } => format!("锚点 {path} 无法读写"),
        LedgerError::Key { path, what } => format!("密钥文件 {path}:{}", what.get(Language::Zh)),
        LedgerError::ReadOnly(_) => "台账只读".to_owned(),
        LedgerError::Recover { what } => format!("无法补回:{}", what.get(Language::Zh)),
        LedgerError::Stopped => "台账已停止".to_owned(),
        LedgerError::Record(_) => "台账未能写入自身的一条记录".to_owned(),
        LedgerError::Policy { path, .. } => format!("策略文件 {path} 不能使用"),
        LedgerError::LogKey(error) => match error {
            LogKeyError::InUse { key } => {
                format!("密钥 {key} 正在使用:请先用 `weituo log-key rotate` 启用新密钥")
            }
            LogKeyError::Unknown { named, known } => format!("台账没有列出密钥 {named};所列为 {known}"),
            LogKeyError::OtherRotation { path } => {
                format!("{path} 是另一密钥文件的轮换所留:请移走后重试")
            }
            LogKeyError::Changing => "另一进程正在更换台账的密钥:请等它结束后重试".to_owned(),
            LogKeyError::FollowsItself => "台账不能以自己为继任:继任台账应有另一名称".to_owned(),
            LogKeyError::Busy => {
                "其他进程不断写入 log/main:请停止它们后重试;如无其他进程,请运行 `weituo verify`".to_owned()
            }
        },
        LedgerError::Copy { what } => format!("备份或恢复未完成:{}", what.get(Language::Zh)),
        LedgerError::NotFound { what } | LedgerError::Exists { what } | LedgerError::Invalid { what } => {
            what.get(Language::Zh).to_owned()
        }
        LedgerError::Clock(error) => clock(error),
    }
}

fn read_only(error: &ReadOnly) -> String {
    match error {
        ReadOnly::Requested => "以只读方式打开".to_owned(),
        ReadOnly::Behind { database_size, anchor_size } => format!(
            "数据库有 {database_size} 条记录,锚点为 {anchor_size} 条作证:请运行 `weituo recover --from 备份`"
        ),
        ReadOnly::RootDiffers { size, found, anchored } => format!(
            "前 {size} 条记录的根哈希为 {found},锚点为 {anchored}:记录被改动;请运行 `weituo verify`,再恢复备份"
        ),
        ReadOnly::SealWrong { size } => {
            format!("首行(共 {size} 条)的封印不是本台账密钥所作:请运行 `weituo verify`")
        }
        ReadOnly::HeadDiffers { head_size, found_size, .. } => {
            format!("首行记为 {head_size} 条,实有 {found_size} 条,或根哈希不符:请运行 `weituo verify`")
        }
        ReadOnly::KeyNotInLog { key } => format!("密钥 {key} 不是 log/main 所列的密钥"),
        ReadOnly::AnchorLost { path } => {
            let absent = absent(path);
            format!(
                "{}:请运行 `weituo recover --checkpoint 文件`,给出他人保存的检查点;\
                 或以 `weituo recover --accept-lost-anchor` 认可数据库现状,此事会记入台账",
                absent.get(Language::Zh)
            )
        }
        ReadOnly::AnchorDamaged { path, what } => format!(
            "锚点 {path} 损坏,或密钥文件不是本台账最新的:{};请放回正确的文件;确无其他锚点时,才移走它并运行 `weituo recover --checkpoint 文件`,给出他人保存的检查点",
            what.get(Language::Zh)
        ),
        ReadOnly::Frozen { leaf_index } => {
            format!("台账已在序号 {leaf_index} 封存,其后不再记录:如有继任台账,见 `weituo entry {leaf_index}`")
        }
        ReadOnly::Corrupt { what } => format!("{}:请运行 `weituo verify`", what.get(Language::Zh)),
    }
}

fn clock(error: &ClockError) -> String {
    match error {
        ClockError::Behind { now, last } => {
            format!("时钟为 {now},最新记录存证于 {last}:请校正时钟,之后自动恢复记录")
        }
        ClockError::Apart { seconds } => {
            format!("启动以来系统时钟与单调时钟相差 {seconds} 秒:请校正时钟并重新启动")
        }
        ClockError::NoDate { unix_millis } => format!("时钟为 1970 年后 {unix_millis} 毫秒,不是有效日期"),
    }
}

fn submit(error: &SubmitError) -> String {
    match error {
        SubmitError::ReadOnly(_) => "台账只读".to_owned(),
        SubmitError::Unavailable(_) => "台账暂时无法记录;请用同一编号重试".to_owned(),
        SubmitError::Stopped => "台账已停止".to_owned(),
        SubmitError::NotCosigned { leaf_index, seconds } => format!(
            "命令已记录,序号 {leaf_index},但 {seconds} 秒内未获足够的见证附署:稍后请运行 `weituo receipt {leaf_index}`"
        ),
        SubmitError::Invalid(_) => "这不能成为存证记录".to_owned(),
        SubmitError::Clock(error) => clock(error),
        SubmitError::Conflict { .. } => "决定之后流有变动".to_owned(),
        SubmitError::Claim(_) => "被拒绝".to_owned(),
        SubmitError::Reused { leaf_index } => {
            format!("此编号已在序号 {leaf_index} 记录了别的内容:请用新编号")
        }
        SubmitError::Disclosure { digest } => format!("披露值 {digest} 不对应此事项的任何密封值"),
    }
}

fn store(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable { .. } => "数据库暂时不可用".to_owned(),
        StoreError::CommitUnknown { .. } => "数据库没有说明是否已提交".to_owned(),
        StoreError::Full { .. } => "数据库空间已满".to_owned(),
        StoreError::Corrupt { what } => {
            format!(
                "数据库中有非本程序写入的内容:{};请运行 `weituo verify`;如它也只说这一句,请把备份恢复到空的地方",
                what.get(Language::Zh)
            )
        }
        StoreError::Schema { what } => what.get(Language::Zh).to_owned(),
        StoreError::Fault { .. } => "数据库拒绝了操作".to_owned(),
    }
}

fn follow(error: &FollowError) -> String {
    match error {
        FollowError::Store(_) => "投影无法读写".to_owned(),
        FollowError::Entry { leaf_index, .. } => {
            format!("序号 {leaf_index} 不是存证记录:请运行 `weituo verify`")
        }
        FollowError::Event { leaf_index, .. } => {
            format!("序号 {leaf_index} 的事项本程序不认识:请使用更新的 `weituo`")
        }
        FollowError::Row { projection, key } => {
            format!("投影 {projection} 的行 {key} 无法读回:请运行 `weituo rebuild`")
        }
        FollowError::Overtaken => "另一进程正在重建投影:请稍后再试".to_owned(),
        FollowError::UnknownProjection(name) => format!("没有投影 {name}"),
    }
}

fn record(error: &RecordError) -> String {
    match error {
        RecordError::Refused(_) => "被拒绝".to_owned(),
        RecordError::Conflict { stream } => {
            format!(
                "{stream} 或此事所依据的机构正被他人连续修改;请用同一编号重试;若无人修改,请运行 `weituo verify`"
            )
        }
        RecordError::Ledger(_) => "命令未被记录".to_owned(),
        RecordError::Read { stream, .. } => format!("流 {stream} 无法读取"),
    }
}

fn read(error: &ReadError) -> String {
    match error {
        ReadError::Store(_) | ReadError::Events(_) => "数据库出错".to_owned(),
        ReadError::Unproven(_) => "无法证明一条记录在台账中".to_owned(),
        ReadError::Chain { leaf_index } => {
            format!("序号 {leaf_index} 的记录没有接在其流的前一条之后:请运行 `weituo verify`")
        }
        ReadError::Entry(_) | ReadError::Place => "存证记录损坏:请运行 `weituo verify`".to_owned(),
        ReadError::Event(_) => "存证记录不被本程序理解:请使用更新的 `weituo`".to_owned(),
    }
}

fn events(error: &PersistenceError) -> Option<String> {
    let PersistenceError::DeserializationError(source) = error else { return None };
    source.downcast_ref().map(store)
}

fn dossier(error: &DossierError) -> String {
    match error {
        DossierError::NotFound { subject } => format!("没有 {} {}", subject.kind.code(), subject.id),
        DossierError::Id { id } => format!("{id} 不是编号"),
        DossierError::Index(_) => "无法以完整性索引证明".to_owned(),
        DossierError::Proof(_) => "存证记录无法证明".to_owned(),
        DossierError::Read(_) => "存证记录无法读取".to_owned(),
        DossierError::Overtaken => "收集期间历史不断变化:请稍后再试".to_owned(),
        DossierError::Unsound { what } => format!("卷宗核验不通过:{what};请运行 `weituo verify`"),
    }
}

fn mirror(error: &MirrorError) -> String {
    match error {
        MirrorError::Source(_) => "台账无法读取".to_owned(),
        MirrorError::Checkpoint { place, .. } => format!("{place} 的检查点不是该台账的"),
        MirrorError::Folder { folder, what } => {
            format!("{} 不是本台账的副本:{};请另指空文件夹", folder.display(), what.get(Language::Zh))
        }
        MirrorError::NotExtended { kept, found, evidence } => format!(
            "现有 {found} 条的台账不是此前所复制 {kept} 条的延续:被回退或分叉;两份检查点已保存在 {}",
            evidence.display()
        ),
        MirrorError::Differs { path, what } => format!("{path} 与检查点不符:{what}"),
        MirrorError::Write { path, .. } => format!("无法写入 {}", path.display()),
    }
}

fn source(error: &SourceError) -> String {
    match error {
        SourceError::NotFound { what } => format!("没有 {what}"),
        SourceError::Read { what, .. } => format!("无法读取 {what}"),
    }
}

fn witness_state(error: &StateError) -> String {
    match error {
        StateError::Io { path, .. } => format!("{path} 无法读写"),
        StateError::InUse { path } => format!("另一见证服务正在使用 {path}:两个会附署出两种历史"),
        StateError::Key { path, .. } => format!("{path} 中没有签名密钥"),
        StateError::Name(_) => "见证方不能用此名称".to_owned(),
        StateError::OtherName { path, found, asked } => {
            format!("{path} 的见证方名为 {found},不是 {asked}:名称与密钥始终对应")
        }
        StateError::MemoryLost { path } => {
            format!("密钥曾被使用,而 {path} 不在:请放回,或停用此见证方并在空目录中另建")
        }
        StateError::Damaged { path } => {
            format!("{path} 不是此见证方附署过的检查点:请放回原文件,或停用此见证方")
        }
        StateError::Origin { .. } => "台账公钥的名称应为其来源标识".to_owned(),
        StateError::Randomness { what } => format!("系统没有随机数:{what}"),
    }
}

fn witness_client(error: &ClientError) -> String {
    match error {
        ClientError::Url { url } => {
            format!("{url} 不是见证方的地址:应为 http://主机[:端口][/路径] 或 https://…")
        }
        ClientError::Http { url, .. } => format!("见证方 {url} 没有应答"),
    }
}

fn stamp(error: &StampError) -> String {
    match error {
        StampError::Url { url } => {
            format!("{url} 不是时间戳机构的地址:应为 http://主机[:端口][/路径] 或 https://…")
        }
        StampError::Http { url, .. } => format!("时间戳机构 {url} 没有应答:未加盖时间戳,请稍后再试"),
        StampError::Status { url, status, told } => {
            format!("时间戳机构 {url} 应答状态 {status}:{told};未加盖时间戳")
        }
        StampError::Answer { url, .. } => format!("时间戳机构 {url} 的应答不能使用;未加盖时间戳"),
        StampError::NotACheckpoint => "这不是已签名的检查点".to_owned(),
        StampError::Damaged { path, what } => {
            format!("所存时间戳 {} 不能使用:{what};请移走后重新加盖", path.display())
        }
        StampError::OtherHistory { path } => {
            let path = path.display();
            format!("{path} 是同样条数的另一检查点:请保存两者,并运行 `weituo verify --checkpoint {path}`")
        }
        StampError::Io { path, .. } => format!("{} 无法读写", path.display()),
    }
}

fn stamp_answer(error: &Unusable) -> String {
    match error {
        Unusable::NotAResponse { what } => format!("不是时间戳应答(RFC 3161):{what}"),
        Unusable::Rejected { status, told } => format!("机构拒绝,状态 {status}:{told}"),
        Unusable::OtherDigest => "时间戳针对的不是此检查点的摘要:对它不能证明什么".to_owned(),
        Unusable::OtherNonce => "时间戳的随机数不是所请求的:可能是旧时间戳的重放".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use weituo_proof::Both;

    use super::*;

    #[test]
    fn every_link_of_an_errors_chain_is_told_in_chinese() {
        let behind = ReadOnly::Behind { database_size: 3, anchor_size: 5 };
        let told = chain_zh(&RecordError::Ledger(SubmitError::ReadOnly(behind)));
        assert_eq!(
            told,
            "命令未被记录:台账只读:数据库有 3 条记录,锚点为 5 条作证:请运行 `weituo recover --from 备份`"
        );
        let shared = SubmitError::Unavailable(Arc::new(LedgerError::Stopped));
        assert_eq!(chain_zh(&shared), "台账暂时无法记录;请用同一编号重试:台账已停止");
        let stream = "坏名".parse::<weituo_proof::StreamName>().unwrap_err();
        assert!(chain_zh(&stream).starts_with("\"坏名\"(6 字节)不可用:流名为 "), "{}", chain_zh(&stream));
        let large = SubmitError::Invalid(Arc::new(EntryError::TooLarge { bytes: 70_000 }));
        assert!(chain_zh(&large).contains("最多 65535 字节,此条有 70000 字节"), "{}", chain_zh(&large));
        let full = StoreError::Full { doing: "appending", source: "disk full".into() };
        assert_eq!(chain_zh(&LedgerError::Store(full)), "数据库出错:数据库空间已满:disk full");
        let what = Both::new("两槽都不完整", "neither slot is whole");
        let damaged = ReadOnly::AnchorDamaged { path: "a.anchor".to_owned(), what };
        assert_eq!(
            chain_zh(&LedgerError::ReadOnly(damaged)),
            "台账只读:锚点 a.anchor 损坏,或密钥文件不是本台账最新的:两槽都不完整;请放回正确的文件;确无其他锚点时,才移走它并运行 `weituo recover --checkpoint 文件`,给出他人保存的检查点"
        );
    }
}
