//! The program's end of the socket, and the way without a daemon.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::net::UnixStream;

use super::frame::{ANSWER_BYTES, QUESTION_BYTES};
use super::{Answer, ConsoleError, Question, Running, SOCKET, answer, frame};
use crate::accounts::Accounts;
use crate::clock::Clock;
use crate::config::Config;
use crate::seal::Seal;
use crate::store::tables::SECRETS;
use crate::store::{Store, StoreError};
use crate::supervisor::Supervisor;

/// Until what was begun on the store is written.
const ENDING: Duration = Duration::from_secs(10);

/// Asks the running daemon, or does it on the store where none runs. The text is for people. Blocks.
pub fn ask(config: &Config, question: &Question) -> Result<String, ConsoleError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let path = config.data_dir.join(SOCKET);
    let socket = |source| socket_error(config, source);
    let answer = runtime.map_err(socket)?.block_on(async {
        match UnixStream::connect(&path).await {
            Ok(stream) => talk(stream, question).await.map_err(socket),
            Err(error) if nobody_listens(&error) => without_daemon(config, question).await,
            Err(error) => Err(socket(error)),
        }
    });
    match answer? {
        Answer::Done(text) | Answer::Running(Running { version: text, .. }) => Ok(text),
        Answer::Refused(reason) => Err(ConsoleError::Refused(reason)),
    }
}

/// Asks the daemon that runs how it is.
pub async fn running(config: &Config) -> Result<Running, ConsoleError> {
    match of_daemon(config, &Question::Running).await? {
        Answer::Running(running) => Ok(running),
        Answer::Done(text) | Answer::Refused(text) => Err(ConsoleError::Refused(text)),
    }
}

/// What the daemon that runs shows on the machine's own screen. Blocks.
pub fn welcome(config: &Config) -> Result<String, ConsoleError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let socket = |source| socket_error(config, source);
    match runtime.map_err(socket)?.block_on(of_daemon(config, &Question::Welcome))? {
        Answer::Done(text) => Ok(text),
        Answer::Refused(reason) => Err(ConsoleError::Refused(reason)),
        Answer::Running(running) => Err(ConsoleError::Refused(running.version)),
    }
}

/// Asks a daemon, and nobody where none runs: the store stays free for one that starts just now.
async fn of_daemon(config: &Config, question: &Question) -> Result<Answer, ConsoleError> {
    let path = config.data_dir.join(SOCKET);
    let stream = UnixStream::connect(&path).await.map_err(|error| {
        if nobody_listens(&error) {
            ConsoleError::NotRunning(path.display().to_string())
        } else {
            socket_error(config, error)
        }
    })?;
    talk(stream, question).await.map_err(|error| socket_error(config, error))
}

fn socket_error(config: &Config, source: io::Error) -> ConsoleError {
    ConsoleError::Socket { path: config.data_dir.join(SOCKET).display().to_string(), source }
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

async fn talk(mut stream: UnixStream, question: &Question) -> io::Result<Answer> {
    frame::write(&mut stream, question, QUESTION_BYTES).await?;
    frame::read(&mut stream, ANSWER_BYTES).await
}

async fn without_daemon(config: &Config, question: &Question) -> Result<Answer, ConsoleError> {
    let data_dir = &config.data_dir;
    let file = data_dir.join("store.redb");
    if !file
        .try_exists()
        .map_err(|source| StoreError::Unreachable { path: file.clone(), source })?
    {
        return Err(ConsoleError::NoStore(data_dir.display().to_string()));
    }
    let store = match Store::open(&file) {
        Err(StoreError::InUse(_)) => {
            return Err(ConsoleError::Silent(data_dir.join(SOCKET).display().to_string()));
        }
        opened => opened?,
    };
    let closing = store.file();
    let answer = on_the_store(config, store, question).await;
    // The last handle is gone: what was queued is written.
    closing.closed().await;
    answer
}

async fn on_the_store(
    config: &Config,
    store: Store,
    question: &Question,
) -> Result<Answer, ConsoleError> {
    let data_dir = &config.data_dir;
    let sealed = store.read(|reader| Ok(!reader.all(SECRETS)?.is_empty())).await?;
    let seal = if sealed { Seal::open_existing(data_dir) } else { Seal::open(data_dir) }?;
    let supervisor = Supervisor::new();
    let accounts = Accounts::start(store, &seal, Clock::system(), data_dir, &supervisor).await?;
    accounts.set_bcrypt_cost(config.accounts.bcrypt_cost);
    let answer = answer(&accounts, question).await;
    drop(accounts);
    supervisor.shutdown(ENDING).await;
    Ok(answer)
}
