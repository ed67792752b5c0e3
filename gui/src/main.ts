import './tokens.css';
import './base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { router } from './router.svelte';

router.start();
const target = document.getElementById('app');
if (target) mount(App, { target });
