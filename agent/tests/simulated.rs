//! A simulated device: a host that invents its values, and a way to the appliance in memory.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use aerie_agent::{
    Agent,
    connect::{ConnectError, Dial},
    host::{AgentEvent, CommandError, Host},
    passwords::{PasswordError, Passwords},
    session::SessionEnd,
    state::State,
    terminal::{Exit, Keyboard, Program, Terminal, WindowSize},
    trust::CertificateRule,
};
use aerie_protocol::inform::{HeldPassword, Hello, SetPassword, Status, TryPassword};
use tokio::{
    io::{AsyncWrite, DuplexStream, WriteHalf, duplex, split},
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::passwords::{Book, book};

/// What happened on a simulated device, in order.
pub(crate) type Diary = Arc<Mutex<Vec<String>>>;

pub(crate) struct SimulatedHost {
    diary: Diary,
    may_restart: bool,
    passwords: Passwords<Book>,
    /// The far ends of opened terminals go here.
    programs: mpsc::UnboundedSender<SimulatedProgram>,
}

/// The program side of a simulated terminal.
pub(crate) struct SimulatedProgram {
    /// What it reads is what was typed; what it writes is shown.
    pub(crate) line: DuplexStream,
    /// Ends it.
    pub(crate) exit: Option<oneshot::Sender<Exit>>,
}

impl SimulatedHost {
    fn note(&self, what: impl Into<String>) {
        self.diary.lock().unwrap().push(what.into());
    }
}

impl Host for SimulatedHost {
    async fn identity(&mut self) -> Hello {
        Hello { hostname: "simulated".to_owned(), mac: vec![2, 0, 0, 0, 0, 1], ..Hello::default() }
    }

    async fn status(&mut self) -> Status {
        Status { uptime_seconds: 42, ..Status::default() }
    }

    fn may_restart(&self) -> Result<(), CommandError> {
        if self.may_restart { Ok(()) } else { Err(CommandError::NotAllowed("in this test")) }
    }

    async fn restart(&mut self) -> Result<Duration, CommandError> {
        self.note("restart");
        Ok(Duration::from_secs(90))
    }

    async fn locate(&mut self, duration: Option<Duration>) -> Result<(), CommandError> {
        self.note(format!("locate {duration:?}"));
        Ok(())
    }

    async fn open_terminal(&mut self, size: WindowSize) -> Result<Terminal, CommandError> {
        self.note(format!("terminal {}x{}", size.rows, size.columns));
        let (near, far) = duplex(64 * 1024);
        let (screen, keyboard) = split(near);
        let (exit, ended) = oneshot::channel();
        let program = SimulatedProgram { line: far, exit: Some(exit) };
        self.programs.send(program).map_err(|_| CommandError::Failed("no test".to_owned()))?;
        let diary = Arc::clone(&self.diary);
        Ok(Terminal {
            screen: Box::new(screen),
            keyboard: Box::new(SimulatedKeyboard { keyboard, diary }),
            program: Box::new(Ended { ended, hung_up: false }),
        })
    }

    async fn passwords(&mut self) -> Result<Vec<HeldPassword>, PasswordError> {
        self.passwords.held()
    }

    async fn set_password(&mut self, set: SetPassword) -> Result<HeldPassword, PasswordError> {
        self.passwords.set(&set).await
    }

    async fn try_password(&mut self, tried: TryPassword) -> Result<(), PasswordError> {
        self.passwords.try_password(&tried).await
    }

    fn notice(&mut self, event: AgentEvent<'_>) {
        self.note(match event {
            AgentEvent::Connected { enrolled, .. } => format!("connected enrolled={enrolled}"),
            AgentEvent::Waiting => "waiting".to_owned(),
            AgentEvent::Enrolled => "enrolled".to_owned(),
            AgentEvent::Forgotten => "forgotten".to_owned(),
            AgentEvent::Settled { address } => format!("settled {address}"),
            AgentEvent::NotMoved { error } => format!("not moved: {error}"),
            AgentEvent::Reported { bytes } => format!("reported {}", bytes > 0),
            AgentEvent::Failed { error, .. } => format!("failed {error}"),
            AgentEvent::Left { end: SessionEnd::Lost(error), .. } => format!("lost {error}"),
            AgentEvent::Left { end, .. } => format!("left {end:?}"),
        });
    }
}

struct SimulatedKeyboard {
    keyboard: WriteHalf<DuplexStream>,
    diary: Diary,
}

impl Keyboard for SimulatedKeyboard {
    fn resize(&self, size: WindowSize) -> io::Result<()> {
        let note = format!("resized {}x{}", size.rows, size.columns);
        self.diary.lock().unwrap().push(note);
        Ok(())
    }
}

impl AsyncWrite for SimulatedKeyboard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.keyboard).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.keyboard).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.keyboard).poll_shutdown(context)
    }
}

/// Ends when the test says so, or at the hang-up.
struct Ended {
    ended: oneshot::Receiver<Exit>,
    hung_up: bool,
}

impl Program for Ended {
    fn poll_exit(&mut self, context: &mut Context<'_>) -> Poll<Exit> {
        if self.hung_up {
            return Poll::Ready(Exit::Signal);
        }
        Pin::new(&mut self.ended).poll(context).map(|exit| exit.unwrap_or(Exit::Signal))
    }

    fn hang_up(&mut self) {
        self.hung_up = true;
    }

    fn kill(&mut self) {
        self.hung_up = true;
    }
}

/// A connect, as the test sees it.
pub(crate) struct Dialled {
    /// The appliance's end.
    pub(crate) stream: DuplexStream,
    pub(crate) host: String,
    pub(crate) rule: CertificateRule,
}

/// Dials into a queue: the test takes the other end out.
pub(crate) struct MemoryDialer(pub(crate) mpsc::UnboundedSender<Dialled>);

impl Dial for MemoryDialer {
    type Stream = DuplexStream;

    async fn dial(
        &mut self,
        host: &str,
        _port: u16,
        rule: CertificateRule,
    ) -> Result<(Self::Stream, Option<SocketAddr>), ConnectError> {
        let (near, stream) = duplex(256 * 1024);
        let dialled = Dialled { stream, host: host.to_owned(), rule };
        self.0.send(dialled).map_err(|_| ConnectError::Tcp(io::ErrorKind::NotFound.into()))?;
        Ok((near, None))
    }
}

/// What can be unusual about a device.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) may_restart: bool,
    /// Messages of a session.
    pub(crate) messages: u64,
    /// The local accounts whose passwords may be set.
    pub(crate) accounts: &'static [&'static str],
}

impl Default for Setup {
    fn default() -> Self {
        Self { may_restart: true, messages: u64::MAX, accounts: &[] }
    }
}

/// A running simulated device, as the test holds it.
pub(crate) struct Device {
    diary: Diary,
    pub(crate) dialled: mpsc::UnboundedReceiver<Dialled>,
    pub(crate) programs: mpsc::UnboundedReceiver<SimulatedProgram>,
    stop: CancellationToken,
    running: JoinSet<Agent<SimulatedHost, MemoryDialer>>,
}

impl Device {
    /// Starts an agent with this state.
    pub(crate) fn start(state: State) -> Self {
        Self::start_as(state, Setup::default())
    }

    /// Starts an agent with this state, out of the ordinary.
    pub(crate) fn start_as(state: State, setup: Setup) -> Self {
        let Setup { may_restart, messages, accounts } = setup;
        let diary = Diary::default();
        let (dial, dialled) = mpsc::unbounded_channel();
        let (opened, programs) = mpsc::unbounded_channel();
        let passwords = book(accounts);
        let host =
            SimulatedHost { diary: Arc::clone(&diary), may_restart, passwords, programs: opened };
        let mut agent = Agent::new(host, MemoryDialer(dial), state).renewing_after(messages);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut running = JoinSet::new();
        running.spawn(async move {
            agent.run(&stopped).await;
            agent
        });
        Self { diary, dialled, programs, stop, running }
    }

    /// The next connect: the appliance's end of the stream.
    pub(crate) async fn dialled(&mut self) -> DuplexStream {
        self.dialled.recv().await.unwrap().stream
    }

    /// The next connect, which goes to this host.
    pub(crate) async fn dialled_at(&mut self, host: &str) -> DuplexStream {
        let dialled = self.dialled.recv().await.unwrap();
        assert_eq!(dialled.host, host);
        assert_eq!(dialled.rule, CertificateRule::Note);
        dialled.stream
    }

    pub(crate) fn diary(&self) -> Vec<String> {
        self.diary.lock().unwrap().clone()
    }

    /// Asks the agent to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Ends the agent where it stands.
    pub(crate) async fn kill(mut self) {
        self.running.shutdown().await;
    }

    /// Stops the agent and gives it back.
    pub(crate) async fn stop(mut self) -> Agent<SimulatedHost, MemoryDialer> {
        self.stop.cancel();
        self.running.join_next().await.unwrap().unwrap()
    }
}
