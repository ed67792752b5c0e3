import './tokens.css';
import './base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { router } from './router.svelte';
import { routes } from './routes';

router.start();
// The page's own part is on its way while the frame is built; whoever shows it says if it does not come.
router.find(routes)?.route.load().catch(() => undefined);
const target = document.getElementById('app');
if (target) mount(App, { target });
